"""Progress of a store's build on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_PAUSE = 10.0  # seconds between two lines where there is no terminal


class StoreProgress:
    """Shows how many texts have their measures."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, log_path=False)
        self._bar = Progress(
            TextColumn("texts"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("texts", total=None)
        self._done, self._total = 0, 0
        self._shown = float("-inf")

    def __enter__(self) -> StoreProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show_progress(self, done: int, total: int) -> None:
        """Show that `done` of `total` texts have their measures."""
        self._done, self._total = done, total
        self._bar.update(self._task, completed=done, total=total)
        now = time.monotonic()
        if not self.console.is_terminal and (done == total or now - self._shown >= _PAUSE):
            self._shown = now
            self.console.log(self.describe(), highlight=False)

    def describe(self) -> str:
        """Return what was shown last, in words."""
        return f"{self._done} of {self._total} texts predicted"
