"""`none`: every trial uses its full budget."""

from __future__ import annotations

from collections.abc import Sequence

from ray.tune.schedulers import TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers.registry import scheduler


@scheduler("none", stops_when="never", source="no rule at all", uses_rungs=False, several_objectives=True)
def no_rules(search: SearchConfig, rungs: Rungs) -> Sequence[TrialScheduler]:
    """Return no rule."""
    return []
