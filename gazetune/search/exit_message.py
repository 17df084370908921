"""What is said when a search ends because its process or its Ray instance was killed: how to go on.

A driver whose raylet dies is ended by Ray from below Python, and one that is killed says nothing either. So a child
process waits for its end and has the word then.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import AbstractContextManager
from types import TracebackType

_WAIT = 'read -r said || printf "%s\\n" "$0" >&2'
"""For a shell: say the line once the other end of stdin is closed without a word."""


class LastWords(AbstractContextManager["LastWords"]):
    """Around a block that may not live to its end. Nothing is said of a block that ends, with an error or without."""

    def __init__(self) -> None:
        self._pipe: int | None = None
        self._waiting: subprocess.Popen[bytes] | None = None

    def leave(self, line: str) -> None:
        """Have this line on stderr if the process ends inside the block."""
        read, self._pipe = os.pipe()  # neither is inherited: the pipe is closed when this process is gone
        # In a session of its own, so that Ctrl-C on the terminal does not end it before.
        self._waiting = subprocess.Popen(["/bin/sh", "-c", _WAIT, line], stdin=read, start_new_session=True)
        os.close(read)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe is not None and self._waiting is not None:
            os.write(self._pipe, b"\n")
            os.close(self._pipe)
            self._waiting.wait()
