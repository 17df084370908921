"""Which combinations a space has: how many, which axes are ever open, what is left after `forbid:`.

The values of an axis that no condition tells apart are one cell. Walking over cells visits every case that conditions
can distinguish, however many values a range has.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis, IntAxis, RangeAxis, SubsetsAxis, axis_size
from gazetune.search.space.conditions import Clause, Condition, is_number

MOST_CASES = 50_000
"""Cases that are visited at most; a space with more is taken for one in which every condition can hold."""


@dataclass(frozen=True)
class Size:
    """How many combinations a space has."""

    finite: int
    """Combinations of the axes whose values can be counted."""
    infinite: bool
    """Whether there are ranges of real numbers beside them."""
    exact: bool
    """False where there are more cases than are visited; `finite` is then a lower bound."""


@dataclass(frozen=True)
class Case:
    """One way through a space: a value for each axis that is open on it."""

    values: Mapping[str, Any]
    """Dotted key -> value, closed axes and other keys that conditions ask for included."""
    open: tuple[int, ...]
    """Which axes are open, by number."""
    cells: tuple[int, ...]
    """Which cell each of these is in."""
    allowed: bool
    """Whether no `forbid:` holds."""


class Reach:
    """The cases of some axes, in an order in which every condition can be decided."""

    def __init__(self, axes: Sequence[Axis], forbid: Sequence[Condition], fallback: Mapping[str, Any]) -> None:
        """`fallback` has the value, where no axis sets one, of each key that a condition asks for."""
        self.axes, self.forbid, self._fallback = axes, forbid, fallback
        clauses = [clause for condition in (*forbid, *(axis.when for axis in axes)) for clause in condition.clauses]
        self._cells = [_cells(axis, [clause for clause in clauses if clause.key == axis.key]) for axis in axes]

    def cases(self) -> list[Case]:
        """Return the first `MOST_CASES` cases."""
        return list(itertools.islice(self._walk(0, dict(self._fallback), (), ()), MOST_CASES))

    def _walk(
        self, number: int, values: dict[str, Any], opened: tuple[int, ...], cells: tuple[int, ...]
    ) -> Iterator[Case]:
        if number == len(self.axes):
            yield Case(values, opened, cells, not any(condition.holds(values) for condition in self.forbid))
            return
        axis = self.axes[number]
        if not axis.when.holds(values):
            yield from self._walk(number + 1, values, opened, cells)
            return
        for cell, (value, _) in enumerate(self._cells[number]):
            known = {**values, axis.key: value}
            yield from self._walk(number + 1, known, (*opened, number), (*cells, cell))

    def size(self, cases: Sequence[Case]) -> Size:
        """Return how many combinations the allowed ones of `cases` are."""
        counted: dict[tuple[tuple[int, int], ...], int] = {}
        infinite = False
        for case in cases:
            if case.allowed:
                pairs = list(zip(case.open, case.cells, strict=True))
                finite = tuple((axis, cell) for axis, cell in pairs if not isinstance(self.axes[axis], RangeAxis))
                infinite = infinite or len(finite) < len(pairs)
                counted[finite] = math.prod(self._cells[axis][cell][1] for axis, cell in finite)
        return Size(sum(counted.values()), infinite, len(cases) < MOST_CASES)


def _cells(axis: Axis, clauses: Sequence[Clause]) -> list[tuple[Any, int]]:
    """Return a value of each cell of an axis, and how many values the cell has (1 for a range of real numbers)."""
    if not clauses and not isinstance(axis, RangeAxis):
        return [(axis.examples()[0], axis_size(axis) or 1)]
    merged: dict[tuple[bool, ...], tuple[Any, int]] = {}
    for value, count in _pieces(axis, clauses):
        answers = tuple(clause.holds({axis.key: value}) for clause in clauses)
        first, before = merged.get(answers, (value, 0))
        merged[answers] = (first, before + count)
    if isinstance(axis, RangeAxis):
        return [(value, 1) for value, _ in merged.values()]
    return list(merged.values())


def _pieces(axis: Axis, clauses: Sequence[Clause]) -> Iterator[tuple[Any, int]]:
    """Yield pieces of an axis on each of which every clause has one answer: a value in it, and its number of values."""
    bounds = sorted({value for clause in clauses for value in clause.values if is_number(value)})
    if isinstance(axis, RangeAxis):
        # A single point of a range is never met, so only what lies between the bounds counts.
        edges = [axis.low, *(bound for bound in bounds if axis.low < bound < axis.high), axis.high]
        yield from (((low + high) / 2, 1) for low, high in itertools.pairwise(edges))
    elif isinstance(axis, IntAxis):
        values = axis.values()
        cuts = {0, len(values)}
        for bound in bounds:
            at = (bound - axis.low) / axis.step
            cuts |= {min(max(cut, 0), len(values)) for cut in (math.ceil(at), math.floor(at) + 1)}
        yield from ((values[first], last - first) for first, last in itertools.pairwise(sorted(cuts)))
    else:
        yield from ((value, 1) for value in (axis.values() if isinstance(axis, SubsetsAxis) else axis.examples()))


def combinations(
    axes: Sequence[Axis],
    forbid: Sequence[Condition],
    value_of: Callable[[str, Mapping[str, Any]], Any],
    tried: Callable[[Axis], Sequence[Any]],
) -> list[dict[str, Any]]:
    """Return every combination of the values that are tried of each axis, none for the axes that do not matter.

    The choices that open an axis that matters are tried too. A condition on any other key may hold or not.

    Parameters
    ----------
    axes, forbid
        As of a space, axes in order.
    value_of : callable
        The value of a key, given what was chosen so far.
    tried : callable
        The values of an axis that are to be tried.
    """
    values = {number: list(tried(axis)) for number, axis in enumerate(axes)}
    for number, axis in reversed(list(enumerate(axes))):
        asked = {key for other, taken in values.items() if taken for key in axes[other].when.keys}
        if not values[number] and axis.key in asked and isinstance(axis, ChoiceAxis | FixedAxis):
            values[number] = axis.examples()
    unknown = {axis.key for number, axis in enumerate(axes) if not values[number]}
    found: list[dict[str, Any]] = [{}]
    for number, axis in enumerate(axes):
        if values[number]:
            found = [more for chosen in found for more in _extended(chosen, axis, values[number], unknown, value_of)]
    known = [condition for condition in forbid if not condition.keys & unknown]
    return [
        chosen
        for chosen in found
        if not any(condition.holds({key: value_of(key, chosen) for key in condition.keys}) for condition in known)
    ]


def _extended(
    chosen: dict[str, Any],
    axis: Axis,
    values: Sequence[Any],
    unknown: set[str],
    value_of: Callable[[str, Mapping[str, Any]], Any],
) -> list[dict[str, Any]]:
    """Return what `chosen` can become at an axis."""
    decided = Condition(tuple(clause for clause in axis.when.clauses if clause.key not in unknown))
    if not decided.holds({key: value_of(key, chosen) for key in decided.keys}):
        return [chosen]
    without = [chosen] if decided != axis.when else []
    return [*without, *({**chosen, axis.key: value} for value in values)]
