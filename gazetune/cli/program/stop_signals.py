"""SIGTERM (Slurm, Kubernetes) and SIGHUP (a shell that closes) stop a command as Ctrl-C does.

::

    first signal     a line says that the command is stopping; KeyboardInterrupt is raised
    second           a line says that it is still stopping; what is being put in order goes on
    third            the process ends at once
"""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from types import FrameType, TracebackType

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

EXIT_CODE = 130


class StopSignals(AbstractContextManager["StopSignals"]):
    """Handles the signals that stop a command, inside the block and in the main thread."""

    def __init__(self) -> None:
        self.received = 0
        """How many of them came."""
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignals:
        for each in HANDLED:
            # A command under `nohup` is not to end with its terminal.
            if signal.getsignal(each) is not signal.SIG_IGN:
                self._before[each] = signal.signal(each, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]  # what `signal.signal` returned

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received += 1
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if self.received == 1:
            _print_now(f"{name}: stopping; ending what runs can take up to a minute")
            raise KeyboardInterrupt
        if self.received == 2:
            _print_now(f"{name}: already stopping; once more ends the process at once")
            return
        os._exit(EXIT_CODE)


def _print_now(message: str) -> None:
    """Write a line to stderr. A handler may interrupt a `print`, whose buffer must not be entered again."""
    os.write(2, f"gazetune: {message}\n".encode())
