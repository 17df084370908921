"""`hyperband`: successive halving in brackets that differ in how early they stop.

Hyperband as published waits at a rung for the others of its bracket. That needs trials that can be paused, and a trial
in a warm slot cannot. So the brackets run asynchronously, as Tune's `AsyncHyperBandScheduler` has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers.registry import scheduler


@scheduler(
    "hyperband",
    stops_when=(
        "as `asha`, in brackets of which each begins a rung later than the one before and the last one stops nothing"
    ),
    source="ray.tune.schedulers.AsyncHyperBandScheduler; Li et al. 2018, JMLR 18:1-52",
)
def hyperband_rules(search: SearchConfig, rungs: Rungs) -> Sequence[TrialScheduler]:
    """Return a bracket for each rung, and one that stops nothing."""
    return [
        SeededHyperband(
            search.seed,
            time_attr="examples",
            metric="objective",
            mode="max",
            grace_period=rungs.examples[0],
            max_t=rungs.budget,
            reduction_factor=search.reduction,
            brackets=len(rungs.examples) + 1,
        )
    ]


class SeededHyperband(AsyncHyperBandScheduler):
    """Hyperband without pauses, whose trials keep their bracket when the search is repeated or resumed.

    A bracket s has its first rung at the search's rung s, so brackets differ in how early they stop; the last one never
    does. Tune draws a trial's bracket from numpy's global generator; here it follows from seed and trial.
    """

    def __init__(self, seed: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._seed = seed

    def on_trial_add(self, tune_controller: object, trial: Trial) -> None:
        """Choose the trial's bracket with Tune's probabilities: the more rungs it has, the likelier."""
        sizes = np.array([len(bracket._rungs) for bracket in self._brackets])
        weights = np.exp(sizes - sizes.max())
        drawn = np.random.default_rng([self._seed, int(trial.trial_id)]).choice(len(sizes), p=weights / weights.sum())
        self._trial_info[trial.trial_id] = self._brackets[drawn]
