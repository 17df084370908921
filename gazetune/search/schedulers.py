"""Which trials go on: Tune's schedulers, with rungs counted in training examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from gazetune.config import SearchConfig
from gazetune.errors import InputError


@dataclass(frozen=True)
class Rungs:
    """Where trials are compared."""

    examples: tuple[int, ...]
    """Training examples of each rung below the full budget, rising."""
    budget: int


def plan_rungs(search: SearchConfig, budget: int) -> Rungs:
    """Return the rungs of a search whose full trials see `budget` training examples.

    Raises
    ------
    InputError
        When the first rung is not below the budget.
    """
    if search.scheduler == "none":
        return Rungs((), budget)
    first = search.rungs if search.rungs is not None else max(1, round(budget / search.reduction**2))
    if first >= budget:
        raise InputError(f"search.rungs: {first} is not below a full trial's {budget} training examples")
    rungs = [first]
    while rungs[-1] * search.reduction < budget:
        rungs.append(rungs[-1] * search.reduction)
    return Rungs(tuple(rungs), budget)


def create_scheduler(search: SearchConfig, rungs: Rungs) -> TrialScheduler:
    """Return Tune's scheduler for these rungs (ASHA: Li et al. 2020, arXiv 1810.05934)."""
    if search.scheduler == "none":
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="examples",
        metric="objective",
        mode="max",
        grace_period=rungs.examples[0],
        max_t=rungs.budget,
        reduction_factor=search.reduction,
    )


def milestones(rungs: Rungs) -> Sequence[int]:
    """Return the training examples at which every trial is evaluated, the end among them."""
    return (*rungs.examples, rungs.budget)
