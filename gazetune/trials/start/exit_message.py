"""A message on stderr when a search ends because its process or its Ray instance was killed.

A process that is killed cannot print anything. A driver whose raylet dies cannot either: Ray ends it from below Python.
So a child process prints the message. It reads from a pipe whose other end the driver holds:

    driver ends the block    a line comes through the pipe    the child prints nothing
    driver is killed         the pipe is closed, empty        the child prints the message
"""

from __future__ import annotations

import os
import subprocess
from contextlib import AbstractContextManager
from types import TracebackType

CHILD_SCRIPT = 'read -r line || printf "%s\\n" "$0" >&2'
"""For a shell: `read` fails, and the message is printed, once the other end of stdin is closed without a line."""


class ExitMessage(AbstractContextManager["ExitMessage"]):
    """Around a block that may be killed. Nothing is printed for a block that ends, with an error or without."""

    def __init__(self) -> None:
        self._pipe: int | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def print_if_killed(self, message: str) -> None:
        """Have the message printed on stderr if this process ends inside the block."""
        # Neither end is inherited by other children. So the pipe is closed as soon as this process is gone.
        child_end, self._pipe = os.pipe()
        # In a session of its own, so that Ctrl-C on the terminal does not end the child first.
        self._child = subprocess.Popen(
            ["/bin/sh", "-c", CHILD_SCRIPT, message], stdin=child_end, start_new_session=True
        )
        os.close(child_end)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe is not None and self._child is not None:
            os.write(self._pipe, b"\n")
            os.close(self._pipe)
            self._child.wait()
