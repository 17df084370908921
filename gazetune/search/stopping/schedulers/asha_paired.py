"""`asha_paired`: both rules at once."""

from __future__ import annotations

from collections.abc import Sequence

from ray.tune.schedulers import TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.stopping.schedulers.asha import asha_rules
from gazetune.search.stopping.schedulers.paired import paired_rules
from gazetune.search.stopping.schedulers.registry import scheduler


@scheduler(
    "asha_paired",
    stops_when="`asha` or `paired` says so",
    source="see asha and paired",
    compares_pairs=True,
    planned_as="asha",
)
def asha_paired_rules(search: SearchConfig, rungs: Rungs) -> Sequence[TrialScheduler]:
    """Return the rules of `asha`, then those of `paired`."""
    return [*asha_rules(search, rungs), *paired_rules(search, rungs)]
