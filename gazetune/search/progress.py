"""Live progress of a search on stderr: a bar on a terminal, a line for each finished trial elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class SearchProgress:
    """Shows how many trials are done, the best so far, and what runs."""

    def __init__(self, trials: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, log_path=False)
        self._running: dict[str, str] = {}
        self._best: tuple[float, str] | None = None
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("trials", total=trials, status="")

    def __enter__(self) -> SearchProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, text: str) -> None:
        """Say what the search does now, before and after its trials."""
        self.console.log(text, markup=False, highlight=False)

    def started(self, trial_id: str) -> None:
        """A trial was handed out."""
        self._running[trial_id] = "starting"
        self._show()

    def reported(self, trial_id: str, examples: int, budget: int, accuracy: float) -> None:
        """A trial was evaluated."""
        self._running[trial_id] = f"{examples}/{budget} {accuracy:.3f}"
        self._show()

    def ended(self, trial_id: str, state: str, accuracy: float | None, reason: str | None) -> None:
        """A trial is over."""
        self._running.pop(trial_id, None)
        if state == "COMPLETE" and accuracy is not None and (self._best is None or accuracy > self._best[0]):
            self._best = (accuracy, trial_id)
        shown = "" if accuracy is None else f" validation accuracy {accuracy:.3f}"
        why = f" ({reason})" if reason else ""
        self.console.log(f"trial {trial_id} {state}{shown}{why}", markup=False, highlight=False)
        self._bar.advance(self._task)
        self._show()

    def _show(self) -> None:
        best = "" if self._best is None else f"best {self._best[0]:.3f} ({self._best[1]})  "
        running = "  ".join(f"{trial_id} {text}" for trial_id, text in sorted(self._running.items()))
        self._bar.update(self._task, status=best + running)
