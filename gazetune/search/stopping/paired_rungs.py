"""Stopping a trial that a paired test shows to be worse than the best one at the same rung.

All trials are scored on the same validation pairs, so two of them differ by much less noise than each of them has. At
each rung a trial is tested against the best trial there, item by item and one-sided. The level of a search is divided
over the looks that a trial gets (its rungs), and at each look over the trials that the best one was chosen among: the
best of many equal trials looks better than it is. By Bonferroni's bound a trial that no other one beats at its rungs is
then stopped with a chance of at most the level.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from gazetune.evaluate.accuracy import correct
from gazetune.evaluate.statistics import p_less_often_right, p_smaller_mean
from gazetune.train.checkpoint import load_margins

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measure:
    """What is compared of two trials: a score of each validation pair, and the one-sided test of it."""

    scores: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """Margins [n] to scores [n]; more is better, and their mean is the objective."""
    p_worse: Callable[[NDArray[np.float64], NDArray[np.float64]], float]


MEASURES = {
    "val/accuracy": Measure(correct, p_less_often_right),
    "val/loss": Measure(lambda margins: -np.logaddexp(0.0, -margins), p_smaller_mean),
}
"""By objective."""


@dataclass
class _Rung:
    trials: set[str] = field(default_factory=set)
    best: str = ""
    scores: NDArray[np.float64] | None = None
    """Of the best trial."""


@dataclass(frozen=True)
class Look:
    """One test of a trial against the best of the others at a rung."""

    best: str
    """The trial it was tested against."""
    p: float
    """One-sided, times the number of trials that the best one was chosen among."""
    stop: bool


class PairedLooks:
    """The rungs of one search and what was scored at them."""

    def __init__(self, rungs: Sequence[int], level: float, measure: Measure) -> None:
        self.examples, self._measure = tuple(rungs), measure
        self.level_per_look = level / max(1, len(rungs))
        self._rungs = {examples: _Rung() for examples in rungs}

    def look(self, trial: str, rung: int, margins: NDArray[np.float64]) -> Look | None:
        """Record a trial's validation margins [n] at a rung and test it; None when it is the first one or was there."""
        seen, scores = self._rungs[rung], self._measure.scores(margins)
        if trial in seen.trials:
            return None
        look = None
        if seen.scores is not None:
            p = min(1.0, self._measure.p_worse(scores, seen.scores) * len(seen.trials))
            look = Look(seen.best, p, p <= self.level_per_look)
        seen.trials.add(trial)
        if seen.scores is None or scores.mean() > seen.scores.mean():
            seen.best, seen.scores = trial, scores
        return look


class PairedRungs(FIFOScheduler):
    """The rule as a scheduler of Tune. A trial has `trial_id` and the `folder` that its margins lie in."""

    def __init__(self, rungs: Sequence[int], budget: int, level: float, objective: str) -> None:
        super().__init__()
        self._looks, self._budget = PairedLooks(rungs, level, MEASURES[objective]), budget
        self.reasons: dict[str, str] = {}
        """Why a trial was stopped, by its id."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Look at the trial when it has come to a rung."""
        reached = [rung for rung in self._looks.examples if rung <= result["examples"] < self._budget]
        if not reached:
            return TrialScheduler.CONTINUE
        margins = load_margins(Path(trial.folder), result["examples"])
        if margins is None:
            _LOGGER.warning("trial %s: no margins at %s examples; not tested", trial.trial_id, result["examples"])
            return TrialScheduler.CONTINUE
        look = self._looks.look(trial.trial_id, reached[-1], margins)
        if look is None or not look.stop:
            return TrialScheduler.CONTINUE
        self.reasons[trial.trial_id] = (
            f"stopped at {result['examples']} examples: worse there than trial {look.best} on the same validation "
            f"pairs (one-sided p {look.p:.2g}, level {self._looks.level_per_look:.2g})"
        )
        return TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Record a trial that ended at a rung by itself (`train.early_stop`)."""
        self.on_trial_result(tune_controller, trial, result)
