"""Lines on stderr that say what a command does now, and say it again while nothing else is printed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console

EVERY_SECONDS = 30.0
"""After so long without a line it is said again what the command does."""


class ActivityLines(AbstractContextManager["ActivityLines"]):
    """Prints a line when an activity begins, and another one every 30 s until the next.

    Examples
    --------
    >>> with ActivityLines(Console(stderr=True)) as lines:
    ...     lines.begin("preparing pairs and gaze")
    ...     lines.print_line("pairs: train 800, validation 100, test 100")
    ...     lines.begin("training", lambda: "320/800 pairs trained")
    """

    def __init__(self, console: Console | None = None, every: float = EVERY_SECONDS) -> None:
        self.console = console or Console(stderr=True, log_path=False)
        self._describe: Callable[[], str] | None = None
        self._began = self._printed = time.monotonic()
        self._usual_every = self._every = every
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._repeat, name="activity lines", daemon=True)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, activity: str, describe: Callable[[], str] | None = None) -> None:
        """Print what begins now.

        Parameters
        ----------
        activity
            What the command does from now on.
        describe
            Says in words how far it is, when it is repeated; called in another thread. None repeats `activity`.
        """
        with self._changed:
            self._describe = describe or (lambda: activity)
            self._began, self._every = time.monotonic(), self._usual_every
            self._print(activity)

    def print_line(self, text: str) -> None:
        """Print a line about what goes on."""
        with self._changed:
            self._print(text)

    def repeat_every(self, seconds: float) -> None:
        """Repeat this activity after so many seconds without a line."""
        with self._changed:
            self._every = seconds
            self._changed.notify()

    def close(self) -> None:
        """Print nothing more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _print(self, text: str) -> None:
        self.console.log(text, markup=False, highlight=False)
        self._printed = time.monotonic()
        self._changed.notify()

    def _repeat(self) -> None:
        with self._changed:
            while not self._is_closed:
                left = self._printed + self._every - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                elif self._describe is None:
                    self._printed = time.monotonic()
                else:
                    self._print(f"{self._describe()} ({time.monotonic() - self._began:.0f} s)")
