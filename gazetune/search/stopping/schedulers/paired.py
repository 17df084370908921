"""`paired`: stops what a paired test shows to be worse; see `paired_rungs`."""

from __future__ import annotations

from collections.abc import Sequence

from ray.tune.schedulers import TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.paired_rungs import PairedRungs
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers.registry import scheduler
from gazetune.search.study.objectives import validation_objective


@scheduler(
    "paired",
    stops_when="a paired test shows it to be worse than the best trial at the rung",
    source="written here; see gazetune/search/stopping/paired_rungs.py",
    compares_pairs=True,
    planned_as="none",  # what it stops depends on how much trials differ, not on their order alone
)
def paired_rules(search: SearchConfig, rungs: Rungs) -> Sequence[TrialScheduler]:
    """Return the paired rung test at the search's level."""
    return [PairedRungs(rungs.examples, rungs.budget, search.level, validation_objective(search).name)]
