"""`asha`: asynchronous successive halving, the default."""

from __future__ import annotations

from collections.abc import Sequence

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers.registry import scheduler


@scheduler(
    "asha",
    stops_when=(
        "it is not among the best 1/`reduction` of those that came to the rung so far (Tune's `ASHAScheduler`)"
    ),
    source="ray.tune.schedulers.ASHAScheduler; Li et al. 2020, arXiv 1810.05934",
)
def asha_rules(search: SearchConfig, rungs: Rungs) -> Sequence[TrialScheduler]:
    """Return Tune's scheduler with its milestones at the rungs."""
    return [
        ASHAScheduler(
            time_attr="examples",
            metric="objective",
            mode="max",
            grace_period=rungs.examples[0],
            max_t=rungs.budget,
            reduction_factor=search.reduction,
        )
    ]
