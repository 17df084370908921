"""`median`: the median stopping rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from ray.tune.experiment import Trial
from ray.tune.schedulers import MedianStoppingRule, TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.combined_scheduler import KnownTrial, no_controller
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers.registry import scheduler


@scheduler(
    "median",
    stops_when=(
        "its best value is below the median of the running means of the trials that came as far, three at least "
        "(Tune's `MedianStoppingRule`)"
    ),
    source="ray.tune.schedulers.MedianStoppingRule; Golovin et al. 2017, Google Vizier, KDD '17",
)
def median_rules(search: SearchConfig, rungs: Rungs) -> Sequence[TrialScheduler]:
    """Return Tune's rule, which begins at the first rung."""
    return [
        ResumableMedian(
            time_attr="examples",
            metric="objective",
            mode="max",
            grace_period=rungs.examples[0],
            # Tune pauses a trial with too few others to be compared with, unless a trial's turn has no end. A trial in
            # a warm slot cannot be paused.
            min_time_slice=cast(int, math.inf),
        )
    ]


class ResumableMedian(MedianStoppingRule):
    """Median stopping that is told of earlier trials without being asked about them.

    Asked again, it would judge them by trials that came later, and assert that those which it stops end.
    """

    def remember_result(self, trial: KnownTrial, result: dict[str, Any]) -> None:
        """Take a result in as that of a trial which ended."""
        self.on_trial_complete(no_controller(), cast(Trial, trial), result)
