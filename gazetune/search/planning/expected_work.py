"""How much a search trains, by playing its own scheduler on made-up trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from ray.tune.schedulers import TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.schedulers import Rungs, create_scheduler
from gazetune.search.study.seeding import trial_name

PLAYED = 1000
"""Trials that are played in all, in several searches."""
LONGEST = 250
"""Longer searches are played with so many trials: the share that goes on hardly changes any more."""
ASSUMPTION = "trials come in random order and each keeps its place among the others at every rung"
_STOPS_BY = {"paired": "none", "asha_paired": "asha"}
"""What the paired rung test stops depends on how much trials differ, so it counts as stopping nothing."""


@dataclass(frozen=True, slots=True)
class Work:
    """What all trials of a search do together."""

    examples: float
    """Training examples."""
    evaluations: float


def full_work(trials: int, reached: Sequence[int]) -> Work:
    """Return the work without pruning; `reached` are the training examples at each evaluation of a full trial."""
    return Work(float(trials * reached[-1]), float(trials * len(reached)))


def expected_work(search: SearchConfig, rungs: Rungs, reached: Sequence[int]) -> Work:
    """Return the mean work over played searches under `ASSUMPTION`, one trial after another; the seed is fixed."""
    search = search.model_copy(update={"scheduler": _STOPS_BY.get(search.scheduler, search.scheduler)})
    random, trials = np.random.default_rng(0), min(search.trials, LONGEST)
    played = max(1, PLAYED // trials)
    examples = evaluations = 0
    for _ in range(played):
        scheduler = create_scheduler(search, rungs)
        for number, quality in enumerate(random.permutation(trials) / trials):
            trial = SimpleNamespace(config={"job": {"id": trial_name(number), "folder": ""}})
            scheduler.on_trial_add(None, trial)
            for at in reached:
                evaluations += 1
                result = {"examples": at, "objective": float(quality)}
                if at == reached[-1]:
                    scheduler.on_trial_complete(None, trial, result)
                elif scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
                    break
            examples += at
    share = search.trials / (trials * played)
    return Work(examples * share, evaluations * share)
