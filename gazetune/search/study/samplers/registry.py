"""The registry of samplers: a new one joins by one file in this folder with a `@sampler` function.

The file's name is the value of `search.sampler` that the sampler is chosen by: the config takes its accepted values
from the names of the files here (`config/search.py`). What a sampler takes stands in its record, and every refusal and
list of accepted values elsewhere is derived from these records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from optuna.samplers import BaseSampler

from gazetune.search.space.axes import Axis
from gazetune.search.space.search_space import SearchSpace

MakeWithSeed = Callable[[int], BaseSampler]
"""Makes the sampler of one proposal from the proposal's seed."""

PrepareSampler = Callable[[SearchSpace, bool], MakeWithSeed]
"""Called once a driver, with the space and whether trials are proposed while others run."""


@dataclass(frozen=True, slots=True)
class SamplerRecord:
    """What is known of a sampler before it proposes anything."""

    name: str
    """The value of `search.sampler`."""
    summary: str
    """What it is, in one line; the table in docs/search.md has the same."""
    source: str
    """The class that does the work, and the paper."""
    prepare: PrepareSampler
    axis_kinds: tuple[type[Axis], ...]
    """The kinds of axes that it draws from."""
    conditional_axes: bool
    """Whether an axis may be closed in some trials."""
    needs_two_axes: bool
    """Whether it has nothing to learn in a space with a single axis."""
    objectives: Literal["one", "several", "any"]
    """How many objectives it can improve."""
    learns_from_others: bool
    """Whether it learns from trials that it did not propose, as `--warm-start` needs."""
    repeats_numbers: bool
    """Whether it may give a trial the real numbers of an earlier one. Other samplers never draw the same one twice."""
    check: Callable[[SearchSpace], None] | None
    """Refuses a space, by an `InputError`, in place of the check that the fields above lead to."""

    @property
    def takes_every_space(self) -> bool:
        """Whether there is no space, with one objective or several, that it could not draw from."""
        whole = self.axis_kinds == (Axis,) and self.conditional_axes and not self.needs_two_axes and self.check is None
        return whole and self.objectives == "any"


SAMPLERS: dict[str, SamplerRecord] = {}
"""The registered samplers by name."""


def sampler(
    name: str,
    *,
    summary: str,
    source: str,
    axis_kinds: tuple[type[Axis], ...] = (Axis,),
    conditional_axes: bool = True,
    needs_two_axes: bool = False,
    objectives: Literal["one", "several", "any"] = "any",
    learns_from_others: bool = False,
    repeats_numbers: bool = False,
    check: Callable[[SearchSpace], None] | None = None,
) -> Callable[[PrepareSampler], PrepareSampler]:
    """Register the decorated function as what prepares the sampler `name`; the fields are those of `SamplerRecord`.

    Raises
    ------
    ValueError
        If another sampler has the name already.
    """

    def register(prepare: PrepareSampler) -> PrepareSampler:
        if name in SAMPLERS:
            raise ValueError(f"two samplers are named '{name}'")
        SAMPLERS[name] = SamplerRecord(
            name=name,
            summary=summary,
            source=source,
            prepare=prepare,
            axis_kinds=axis_kinds,
            conditional_axes=conditional_axes,
            needs_two_axes=needs_two_axes,
            objectives=objectives,
            learns_from_others=learns_from_others,
            repeats_numbers=repeats_numbers,
            check=check,
        )
        return prepare

    return register
