"""Stopping a trial that a paired test shows to be worse than the best one at the same rung.

All trials are scored on the same validation pairs. Two of them therefore differ by much less noise than each of them
has. At each rung a trial is tested against the best trial there, item by item and one-sided:

    rung 100    a: first, no test    b: against a               c: against the better of a and b
    rung 300    a: first, no test                               c: against a
                level / 2 at each    p as it is, one to beat    p times 2, as the best was chosen among two

Two corrections keep the chance of a mistake at the level. The level of a search is divided over the tests that a trial
gets, one at each rung. The p value of a test is multiplied by the number of trials that the best one was chosen among,
since the best of many equal trials looks better than it is. By Bonferroni's bound a trial that no other one beats at
its rungs is then stopped with a chance of at most the level.
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

from gazetune.evaluate.accuracy import pair_correctness, pair_log_likelihoods
from gazetune.evaluate.statistics import mcnemar_p_less, paired_t_p_less
from gazetune.train.state.rung_margins import load_margins
from gazetune.trials.messages import STOPPED_AT

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairedComparison:
    """How two trials are compared by an objective: a score of each validation pair, and the one-sided test of it."""

    scores: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """Margins [n] to scores [n]; more is better, and their mean is the objective."""
    p_worse: Callable[[NDArray[np.float64], NDArray[np.float64]], float]
    """The scores [n] of a trial and of the best one to the p value of the trial being worse."""


COMPARISONS = {
    "val/accuracy": PairedComparison(pair_correctness, mcnemar_p_less),
    "val/loss": PairedComparison(pair_log_likelihoods, paired_t_p_less),
}
"""By objective."""


@dataclass
class _Rung:
    trials: set[str] = field(default_factory=set)
    """Ids of the trials that were scored there."""
    best: str = ""
    scores: NDArray[np.float64] | None = None
    """Of the best trial."""


@dataclass(frozen=True)
class RungTest:
    """One test of a trial against the best of the others at a rung."""

    best: str
    """Id of the trial it was tested against."""
    p_value: float
    """One-sided, times the number of trials that the best one was chosen among."""
    stop: bool


class PairedRungTests:
    """The rungs of one search and what was scored at them."""

    def __init__(self, rungs: Sequence[int], level: float, comparison: PairedComparison) -> None:
        self.examples, self._comparison = tuple(rungs), comparison
        self.level_per_test = level / max(1, len(rungs))
        self._rungs = {examples: _Rung() for examples in rungs}

    def test_trial(self, trial_id: str, rung: int, margins: NDArray[np.float64]) -> RungTest | None:
        """Record a trial's validation margins [n] at a rung and test it; None when it is the first one or was there."""
        at_rung, scores = self._rungs[rung], self._comparison.scores(margins)
        if trial_id in at_rung.trials:
            return None
        test = None
        if at_rung.scores is not None:
            p_value = min(1.0, self._comparison.p_worse(scores, at_rung.scores) * len(at_rung.trials))
            test = RungTest(at_rung.best, p_value, p_value <= self.level_per_test)
        at_rung.trials.add(trial_id)
        if at_rung.scores is None or scores.mean() > at_rung.scores.mean():
            at_rung.best, at_rung.scores = trial_id, scores
        return test


class PairedRungs(FIFOScheduler):
    """The rule as a scheduler of Tune. A trial has `trial_id` and the `folder` that its margins lie in."""

    def __init__(self, rungs: Sequence[int], budget: int, level: float, objective: str) -> None:
        super().__init__()
        self._tests, self._budget = PairedRungTests(rungs, level, COMPARISONS[objective]), budget
        self.reasons: dict[str, str] = {}
        """Why a trial was stopped, by its id."""

    def on_trial_result(self, tune_controller: object, trial: Any, result: dict[str, Any]) -> str:
        """Test the trial when it has come to a rung."""
        reached = [rung for rung in self._tests.examples if rung <= result["examples"] < self._budget]
        if not reached:
            return TrialScheduler.CONTINUE
        margins = load_margins(Path(trial.folder), result["examples"])
        if margins is None:
            _LOGGER.warning("trial %s: no margins at %s examples; not tested", trial.trial_id, result["examples"])
            return TrialScheduler.CONTINUE
        test = self._tests.test_trial(trial.trial_id, reached[-1], margins)
        if test is None or not test.stop:
            return TrialScheduler.CONTINUE
        self.reasons[trial.trial_id] = (
            f"{STOPPED_AT}{result['examples']} examples: worse there than trial {test.best} on the same validation "
            f"pairs (one-sided p {test.p_value:.2g}, level {self._tests.level_per_test:.2g})"
        )
        return TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: object, trial: Any, result: dict[str, Any]) -> None:
        """Record a trial that ended at a rung by itself (`train.early_stop`)."""
        self.on_trial_result(tune_controller, trial, result)
