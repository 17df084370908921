"""When a run has trained enough: its validation metric stands on a plateau."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gazetune.config import EarlyStopConfig


@dataclass
class Plateau:
    """Counts the evaluations of one run that brought nothing new.

    It holds plain values and no clock, and so goes through JSON: `Plateau(**json.loads(json.dumps(asdict(plateau))))`
    stops at the evaluation at which `plateau` would have stopped.
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
    def of(cls, config: EarlyStopConfig) -> Plateau:
        """Return the plateau of a run that has not been evaluated yet."""
        return cls(config.patience, config.min_delta, config.metric)

    def update(self, value: float) -> bool:
        """Take the metric's value at the next evaluation and return whether the run has trained enough.

        An improvement exceeds the best value by more than `min_delta`. So a slow climb counts once it adds up to more,
        as the best value stays where it is until then. NaN is no improvement.
        """
        sign = -1.0 if self.metric == "val/loss" else 1.0
        if not math.isnan(value) and (self.best is None or sign * (value - self.best) > self.min_delta):
            self.best, self.stale = value, 0
        else:
            self.stale += 1
        return self.stale >= self.patience
