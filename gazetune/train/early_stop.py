"""When a run has trained enough: its validation metric stands on a plateau."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gazetune.config import EarlyStopConfig


@dataclass
class PlateauCounter:
    """Counts the evaluations of one run, since the best one, that brought no improvement.

    It holds plain values and no clock. It is therefore stored as JSON, and a resumed run stops at the evaluation at
    which the undisturbed run would have stopped.

    Examples
    --------
    >>> plateau = PlateauCounter(patience=2, min_delta=0.01, metric="val/accuracy")
    >>> [plateau.update(accuracy) for accuracy in (0.60, 0.70, 0.705, 0.65)]
    [False, False, False, True]
    >>> plateau.best
    0.7
    """

    patience: int
    """Evaluations in a row without improvement that make a plateau."""
    min_delta: float
    metric: Literal["val/accuracy", "val/loss"]
    """Of accuracies more is better, of losses less."""
    best: float | None = None
    """The value that the next ones are compared with; None before the first."""
    stale: int = 0
    """Evaluations since the best one."""

    @classmethod
    def from_config(cls, config: EarlyStopConfig) -> PlateauCounter:
        """Return the counter of a run that has not been evaluated yet."""
        return cls(config.patience, config.min_delta, config.metric)

    def update(self, value: float) -> bool:
        """Take the metric's value at the next evaluation and return whether the run has trained enough.

        A value is an improvement when it exceeds the best one by more than `min_delta`. A slow climb counts once it
        adds up to more than that, because the best value stays where it is until then. NaN is no improvement.
        """
        sign = -1.0 if self.metric == "val/loss" else 1.0
        if not math.isnan(value) and (self.best is None or sign * (value - self.best) > self.min_delta):
            self.best, self.stale = value, 0
        else:
            self.stale += 1
        return self.stale >= self.patience
