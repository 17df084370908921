"""The registry of schedulers: a new one joins by one file in this folder with a `@scheduler` function.

The file's name is the value of `search.scheduler` that the scheduler is chosen by: the config takes its accepted values
from the names of the files here (`config/search.py`). What a scheduler needs stands in its record, and every refusal
and list of accepted values elsewhere is derived from these records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ray.tune.schedulers import TrialScheduler

from gazetune.config import SearchConfig
from gazetune.search.stopping.rungs import Rungs

MakeRules = Callable[[SearchConfig, Rungs], Sequence[TrialScheduler]]
"""Makes the rules, any of which may stop a trial. They maximise `objective`, and count `examples`."""


@dataclass(frozen=True, slots=True)
class SchedulerRecord:
    """What is known of a scheduler before it stops anything."""

    name: str
    """The value of `search.scheduler`."""
    stops_when: str
    """When it stops a trial at a rung, in one line; the table in docs/search.md has the same."""
    source: str
    """The class that does the work, and the paper."""
    make_rules: MakeRules
    uses_rungs: bool
    """Whether trials are evaluated at rungs; without them they are evaluated at the end alone."""
    several_objectives: bool
    """Whether it may stop trials, or has none to stop, where there are several objectives."""
    compares_pairs: bool
    """Whether it compares trials pair by pair, so that all must have the same validation pairs."""
    planned_as: str
    """The scheduler whose stops are counted where a search is planned: what it stops must follow from ranks alone."""


SCHEDULERS: dict[str, SchedulerRecord] = {}
"""The registered schedulers by name."""


def scheduler(
    name: str,
    *,
    stops_when: str,
    source: str,
    uses_rungs: bool = True,
    several_objectives: bool = False,
    compares_pairs: bool = False,
    planned_as: str | None = None,
) -> Callable[[MakeRules], MakeRules]:
    """Register the decorated function as what makes the rules of the scheduler `name`.

    The fields are those of `SchedulerRecord`; without `planned_as` a search is planned with the scheduler itself.

    Raises
    ------
    ValueError
        If another scheduler has the name already.
    """

    def register(make_rules: MakeRules) -> MakeRules:
        if name in SCHEDULERS:
            raise ValueError(f"two schedulers are named '{name}'")
        SCHEDULERS[name] = SchedulerRecord(
            name=name,
            stops_when=stops_when,
            source=source,
            make_rules=make_rules,
            uses_rungs=uses_rungs,
            several_objectives=several_objectives,
            compares_pairs=compares_pairs,
            planned_as=planned_as or name,
        )
        return make_rules

    return register
