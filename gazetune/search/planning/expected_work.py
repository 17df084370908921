"""How much a search trains. With pruning that is found by simulation: its own scheduler meets made-up trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gazetune.config import SearchConfig
from gazetune.search.stopping.combined_scheduler import KnownTrial
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers import SCHEDULERS, create_scheduler
from gazetune.trials.feeder import tune_result
from gazetune.trials.messages import trial_id_of

SIMULATED_TRIALS = 1000
"""Trials that are simulated in all, in several searches."""
LARGEST_SIMULATION = 250
"""Longer searches are simulated with so many trials: the share that goes on hardly changes any more."""
ASSUMPTION = "trials come in random order and each keeps its place among the others at every rung"


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """What all trials of a search do together."""

    examples: float
    """Training examples."""
    evaluations: float

    @classmethod
    def without_pruning(cls, trials: int, evaluated_at: Sequence[int]) -> TrainingWork:
        """Return the work of trials that all use their full budget.

        `evaluated_at` has the training examples at each evaluation of a full trial; the last ones are its budget.

        Examples
        --------
        >>> TrainingWork.without_pruning(10, evaluated_at=(100, 300, 900))
        TrainingWork(examples=9000.0, evaluations=30.0)
        """
        return cls(float(trials * evaluated_at[-1]), float(trials * len(evaluated_at)))

    @classmethod
    def with_pruning(cls, search: SearchConfig, rungs: Rungs, evaluated_at: Sequence[int]) -> TrainingWork:
        """Return the mean work over simulated searches under `ASSUMPTION`, one trial after another.

        `evaluated_at` is as for `without_pruning`. The seed is fixed, so the same search has the same answer.
        """
        search = search.model_copy(update={"scheduler": SCHEDULERS[search.scheduler].planned_as})
        random, trials = np.random.default_rng(0), min(search.trials, LARGEST_SIMULATION)
        searches = max(1, SIMULATED_TRIALS // trials)
        examples = evaluations = 0
        for _ in range(searches):
            scheduler = create_scheduler(search, rungs)
            for number, quality in enumerate(random.permutation(trials) / trials):
                trial = KnownTrial(trial_id_of(number), folder="")
                scheduler.add_trial(trial)
                for at in evaluated_at:
                    evaluations += 1
                    result = tune_result(at, float(quality))
                    if at == evaluated_at[-1]:
                        scheduler.end_trial(trial, result)
                    elif scheduler.stops_trial(trial, result):
                        break
                examples += at
        scale = search.trials / (trials * searches)
        return cls(examples * scale, evaluations * scale)
