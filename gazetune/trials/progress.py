"""Live progress of a run on stderr: a line for each finished trial, and on a terminal a bar below them.

Where there is no terminal, a line says now and then what goes on.
"""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gazetune.report.activity import ActivityLines

TRIALS_EVERY_SECONDS = 300.0
"""After so long without a line it is said how far the running trials are, once the first one was evaluated."""


class ProgressDisplay:
    """Shows how many trials have ended, the best one so far, and what runs."""

    def __init__(self, trials: int, console: Console | None = None, noun: str = "trial") -> None:
        """`noun` is what people call one of them."""
        self._noun = noun
        self.console = console or Console(stderr=True, log_path=False)
        self._running: dict[str, str] = {}
        self._best: tuple[float, str] | None = None
        self._controls: set[str] = set()
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
        self._task = self._bar.add_task(f"{noun}s", total=trials, status="")
        self._stage = ""
        self._lines: ActivityLines | None = None
        """None on a terminal, where the bar shows what goes on."""

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        if not self.console.is_terminal:
            self._lines = ActivityLines(self.console)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lines is not None:
            self._lines.close()
        self._bar.stop()

    def print_stage(self, text: str) -> None:
        """Print what the run does now, before and after its trials."""
        self._stage = text
        if self._lines is None:
            self._print_line(text)
        else:
            self._lines.begin(text, self._describe_activity)

    def print_line(self, text: str) -> None:
        """Print what was found out, while the run goes on with what it does."""
        self._print_line(text)

    def show_start(self, trial_id: str, is_control: bool = False) -> None:
        """Show that a trial was handed out; a control is never called the best one."""
        if is_control:
            self._controls.add(trial_id)
        self._running[trial_id] = "starting"
        self._update_status()

    def show_evaluation(self, trial_id: str, examples: int, budget: int, accuracy: float) -> None:
        """Show how far a trial is; `examples` of `budget` training examples."""
        self._running[trial_id] = f"{examples}/{budget} {accuracy:.3f}"
        if self._lines is not None:
            self._lines.repeat_every(TRIALS_EVERY_SECONDS)
        self._update_status()

    def show_end(self, trial_id: str, state: str, accuracy: float | None, reason: str | None) -> None:
        """Print how a trial ended, and advance the bar."""
        self._running.pop(trial_id, None)
        is_candidate = state == "COMPLETE" and trial_id not in self._controls
        if is_candidate and accuracy is not None and (self._best is None or accuracy > self._best[0]):
            self._best = (accuracy, trial_id)
        shown = "" if accuracy is None else f" validation accuracy {accuracy:.3f}"
        why = f" ({reason})" if reason else ""
        self._print_line(f"{self._noun} {trial_id} {state}{shown}{why}")
        self._bar.advance(self._task)
        self._update_status()

    def _print_line(self, text: str) -> None:
        if self._lines is None:
            self.console.log(text, markup=False, highlight=False)
        else:
            self._lines.print_line(text)

    def _describe_activity(self) -> str:
        return self._describe_trials() if self._running else self._stage

    def _describe_trials(self) -> str:
        best = "" if self._best is None else f"best {self._best[0]:.3f} ({self._best[1]})  "
        return best + "  ".join(f"{trial_id} {text}" for trial_id, text in sorted(self._running.copy().items()))

    def _update_status(self) -> None:
        self._bar.update(self._task, status=self._describe_trials())
