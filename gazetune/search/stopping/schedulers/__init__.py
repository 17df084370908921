"""Which trials go on: one file a scheduler, which bears its name. A new scheduler joins by a file in here."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Sequence

from gazetune.config import SearchConfig
from gazetune.config.search import SCHEDULER_NAMES
from gazetune.errors import InputError
from gazetune.search.stopping.combined_scheduler import CombinedScheduler
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers.registry import SCHEDULERS, SchedulerRecord
from gazetune.search.study.objectives import objectives_of

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
if set(SCHEDULERS) != set(SCHEDULER_NAMES):
    raise ImportError(
        f"schedulers are registered as {sorted(SCHEDULERS)} in files for {sorted(SCHEDULER_NAMES)}; each file of "
        f"{__name__} registers one scheduler under the file's own name"
    )

__all__ = ["SCHEDULERS", "check_same_pairs", "check_scheduler", "create_scheduler", "plan_rungs"]


def plan_rungs(search: SearchConfig, budget: int) -> Rungs:
    """Return the rungs of a search whose full trials see `budget` training examples.

    Raises
    ------
    InputError
        When the first rung is not below the budget.
    """
    if not SCHEDULERS[search.scheduler].uses_rungs:
        return Rungs((), budget)
    # Rounded up, or a third rung would lie just before the end.
    first = search.rungs if search.rungs is not None else math.ceil(budget / search.reduction**2)
    if first >= budget:
        raise InputError(f"search.rungs: {first} is not below a full trial's {budget} training examples")
    return Rungs.spread(first, search.reduction, budget)


def create_scheduler(search: SearchConfig, rungs: Rungs) -> CombinedScheduler:
    """Return the scheduler that `search.scheduler` names, for these rungs."""
    return CombinedScheduler(SCHEDULERS[search.scheduler].make_rules(search, rungs))


def check_scheduler(search: SearchConfig, origin: str) -> None:
    """Refuse a scheduler that cannot work with as many objectives as there are.

    Raises
    ------
    InputError
        One line that names `origin`, key and value.
    """
    count = len(objectives_of(search))
    if count > 1 and not SCHEDULERS[search.scheduler].several_objectives:
        accepted = _names_of(lambda record: record.several_objectives)
        raise InputError(
            f"{origin}: search.scheduler: {search.scheduler} stops trials that are behind on one objective, and with "
            f"{count} such a trial may be the best on another; set search.scheduler={accepted}"
        )


def check_same_pairs(search: SearchConfig, fingerprints: Sequence[str]) -> None:
    """Refuse a scheduler that compares trials pair by pair when they may have different preference pairs.

    Raises
    ------
    InputError
        When the prepared data sets, given by the fingerprints of their pairs, are not all the same.
    """
    different = len(set(fingerprints))
    if SCHEDULERS[search.scheduler].compares_pairs and different > 1:
        accepted = _names_of(lambda record: not record.compares_pairs)
        raise InputError(
            f"search.scheduler: {search.scheduler} compares trials on the same validation pairs, and the axes of this "
            f"space lead to {different} different data sets; accepted: {accepted}"
        )


def _names_of(accepts: Callable[[SchedulerRecord], bool]) -> str:
    return ", ".join(name for name in SCHEDULER_NAMES if accepts(SCHEDULERS[name]))
