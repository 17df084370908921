"""Which combinations a space has: how many, which axes are ever open, what is left after `forbid:`.

A space may have more combinations than can be visited (`adapter.r: {int: [1, 1000000]}`), or infinitely many. So its
axes are cut into cells first: the values of an axis that no condition tells apart are one cell. A case takes one cell
of each open axis, and the cases together are the leaves of a tree. With

    adapter.r: {int: [1, 100]}
    adapter.alpha: {int: [1, 10], when: adapter.r > 60}
    forbid: [adapter.r < 20]

the axis `adapter.r` has three cells, since two conditions ask about it, and `adapter.alpha` has one:

    adapter.r      1..19           20..60          61..100
                     |               |                |
    adapter.alpha  closed          closed           1..10
                     |               |                |
    case           forbidden       41 combinations  40 * 10 combinations

Every condition is either true or false for the whole of a case, so one value of each cell is enough to decide it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis, IntAxis, RangeAxis, SubsetsAxis
from gazetune.search.space.conditions import Clause, Condition, is_number

MOST_CASES = 50_000
"""Cases that are visited at most; a space with more is taken for one in which every condition can hold."""

ValueOf = Callable[[str, Mapping[str, object]], object]
"""The value of a key, given what was chosen so far."""


@dataclass(frozen=True)
class SpaceSize:
    """How many combinations a space has."""

    finite: int
    """Combinations of the axes whose values can be counted."""
    infinite: bool
    """Whether there are ranges of real numbers beside them."""
    exact: bool
    """False where there are more cases than are visited; `finite` is then a lower bound."""


@dataclass(frozen=True)
class Cell:
    """Values of an axis that no condition tells apart."""

    value: object
    """One of them."""
    count: int
    """How many there are; 1 for real numbers."""


@dataclass(frozen=True)
class Case:
    """One way through a space: a cell of each axis that is open on it."""

    values: Mapping[str, object]
    """Dotted key -> a value of the cell, closed axes and other keys that conditions ask for included."""
    open: tuple[int, ...]
    """Which axes are open, by number."""
    cells: tuple[int, ...]
    """Which cell each of these is in, by number."""
    allowed: bool
    """Whether no `forbid:` holds."""


class CaseTree:
    """The cases of some axes, in an order in which every condition can be decided.

    Examples
    --------
    The space of the picture above:

    >>> from gazetune.search.space.conditions import parse_condition
    >>> deep = parse_condition("adapter.r > 60", "when")
    >>> axes = [IntAxis("adapter.r", Condition(), 1, 100), IntAxis("adapter.alpha", deep, 1, 10)]
    >>> tree = CaseTree(axes, [parse_condition("adapter.r < 20", "forbid")], {"adapter.r": 8})
    >>> [(case.values["adapter.r"], case.allowed) for case in tree.list_cases()]
    [(1, False), (20, True), (61, True)]
    >>> tree.count_combinations(tree.list_cases())
    SpaceSize(finite=441, infinite=False, exact=True)
    """

    def __init__(self, axes: Sequence[Axis], forbid: Sequence[Condition], fallback: Mapping[str, object]) -> None:
        """`fallback` has the value, where no axis sets one, of each key that a condition asks for."""
        self.axes, self.forbid, self._fallback = axes, forbid, fallback
        clauses = [clause for condition in (*forbid, *(axis.when for axis in axes)) for clause in condition.clauses]
        self._cells = [_cells_of(axis, [clause for clause in clauses if clause.key == axis.key]) for axis in axes]

    def list_cases(self) -> list[Case]:
        """Return the first `MOST_CASES` cases."""
        return list(itertools.islice(self._walk_cases(0, dict(self._fallback), (), ()), MOST_CASES))

    def _walk_cases(
        self, number: int, values: dict[str, object], opened: tuple[int, ...], cells: tuple[int, ...]
    ) -> Iterator[Case]:
        """Yield the cases below a node of the tree: `values` are chosen there, axis `number` is the next one."""
        if number == len(self.axes):
            yield Case(values, opened, cells, not any(condition.holds(values) for condition in self.forbid))
            return
        axis = self.axes[number]
        if not axis.when.holds(values):
            yield from self._walk_cases(number + 1, values, opened, cells)
            return
        for at, cell in enumerate(self._cells[number]):
            known = {**values, axis.key: cell.value}
            yield from self._walk_cases(number + 1, known, (*opened, number), (*cells, at))

    def count_combinations(self, cases: Sequence[Case]) -> SpaceSize:
        """Return how many combinations the allowed ones of `cases` are."""
        counted: dict[tuple[tuple[int, int], ...], int] = {}
        infinite = False
        for case in cases:
            if case.allowed:
                pairs = list(zip(case.open, case.cells, strict=True))
                # Cases that differ in the cell of a range alone are one combination of the finite axes.
                finite = tuple((axis, cell) for axis, cell in pairs if not isinstance(self.axes[axis], RangeAxis))
                infinite = infinite or len(finite) < len(pairs)
                counted[finite] = math.prod(self._cells[axis][cell].count for axis, cell in finite)
        return SpaceSize(sum(counted.values()), infinite, len(cases) < MOST_CASES)


def _cells_of(axis: Axis, clauses: Sequence[Clause]) -> list[Cell]:
    """Return the cells into which these clauses, all of them about the axis, divide its values."""
    if not clauses and not isinstance(axis, RangeAxis):
        return [Cell(axis.example_values()[0], axis.count_values() or 1)]
    merged: dict[tuple[bool, ...], Cell] = {}
    for piece in _split_axis(axis, clauses):
        answers = tuple(clause.holds({axis.key: piece.value}) for clause in clauses)
        before = merged.get(answers)
        merged[answers] = piece if before is None else Cell(before.value, before.count + piece.count)
    if isinstance(axis, RangeAxis):
        return [Cell(cell.value, 1) for cell in merged.values()]
    return list(merged.values())


def _split_axis(axis: Axis, clauses: Sequence[Clause]) -> Iterator[Cell]:
    """Yield pieces of an axis on each of which every clause has one answer. Several may have the same answers."""
    bounds = sorted({value for clause in clauses for value in clause.named_values if is_number(value)})
    if isinstance(axis, RangeAxis):
        # A single point of a range is never met, so only what lies between the bounds counts.
        edges = [axis.low, *(bound for bound in bounds if axis.low < bound < axis.high), axis.high]
        yield from (Cell((low + high) / 2, 1) for low, high in itertools.pairwise(edges))
    elif isinstance(axis, IntAxis):
        values = axis.all_values()
        count = axis.count_values()
        cuts = {0, count}
        for bound in bounds:
            # The bound itself is a piece of its own, as `==` holds there and on neither side.
            at = (bound - axis.low) / axis.step
            cuts |= {min(max(cut, 0), count) for cut in (math.ceil(at), math.floor(at) + 1)}
        yield from (Cell(values[first], last - first) for first, last in itertools.pairwise(sorted(cuts)))
    else:
        each_value = axis.all_values() if isinstance(axis, SubsetsAxis) else axis.example_values()
        yield from (Cell(value, 1) for value in each_value)


def list_combinations(
    axes: Sequence[Axis],
    forbid: Sequence[Condition],
    value_of: ValueOf,
    values_to_try: Callable[[Axis], Sequence[object]],
) -> list[dict[str, object]]:
    """Return every combination of the values that are to be tried of each axis, none for the axes that do not matter.

    An axis matters when `values_to_try` has values for it. The choices that open such an axis are tried too. A
    condition on any other key may hold or not, so both cases are among the combinations.

    Parameters
    ----------
    axes, forbid
        As of a space, axes in order.
    value_of : callable
        The value of a key, given what was chosen so far.
    values_to_try : callable
        The values of an axis that are to be tried; none for an axis that does not matter.
    """
    values = {number: list(values_to_try(axis)) for number, axis in enumerate(axes)}
    # From the last axis to the first: a choice that opens a choice that opens an axis that matters is tried as well.
    for number, axis in reversed(list(enumerate(axes))):
        asked = {key for other, taken in values.items() if taken for key in axes[other].when.keys}
        if not values[number] and axis.key in asked and isinstance(axis, ChoiceAxis | FixedAxis):
            values[number] = axis.example_values()
    unknown = {axis.key for number, axis in enumerate(axes) if not values[number]}
    found: list[dict[str, object]] = [{}]
    for number, axis in enumerate(axes):
        if values[number]:
            found = [more for chosen in found for more in _extend(chosen, axis, values[number], unknown, value_of)]
    known = [condition for condition in forbid if not condition.keys & unknown]
    return [
        chosen
        for chosen in found
        if not any(condition.holds({key: value_of(key, chosen) for key in condition.keys}) for condition in known)
    ]


def _extend(
    chosen: dict[str, object], axis: Axis, values: Sequence[object], unknown: set[str], value_of: ValueOf
) -> list[dict[str, object]]:
    """Return what `chosen` can become at an axis: without it, where it may be closed, and with each of its values."""
    decided = axis.when.without_keys(unknown)
    if not decided.holds({key: value_of(key, chosen) for key in decided.keys}):
        return [chosen]
    without = [chosen] if decided != axis.when else []
    return [*without, *({**chosen, axis.key: value} for value in values)]
