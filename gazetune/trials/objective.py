"""One quantity that a search improves: where it is measured, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gazetune.trials.messages import TrainingReport

Direction = Literal["maximize", "minimize"]
"""What Optuna calls the better way."""


@dataclass(frozen=True)
class Objective:
    """A metric of the validation split, or the time that a trial takes.

    A study has its values as they are measured. Tune has them turned so that more is better, whatever the objective
    is: `oriented` is the only place that turns them.
    """

    name: str
    """`val/accuracy`, `val/loss`, `train_seconds` or `gpu_seconds`."""
    direction: Direction

    def value(self, report: TrainingReport) -> float:
        """Return the value at one evaluation, as it was measured."""
        measured = {**report.metrics, "train_seconds": report.train_seconds, "gpu_seconds": report.gpu_seconds}
        return float(measured[self.name])

    def oriented(self, value: float) -> float:
        """Return a value turned so that more is better.

        Examples
        --------
        >>> Objective("val/loss", "minimize").oriented(0.4)
        -0.4
        >>> Objective("val/accuracy", "maximize").oriented(0.7)
        0.7
        """
        return value if self.direction == "maximize" else -value
