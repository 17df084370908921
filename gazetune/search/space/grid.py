"""All points of a finite search space, conditions included: what the `grid` sampler goes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gazetune.errors import InputError
from gazetune.search.space.search_space import SearchSpace

MAX_POINTS = 100_000
"""A larger grid is refused: nobody trains so many trials, and a slip in the space is likelier."""


class _Walk:
    """Answers as a trial does: takes the values a path names, and the first one wherever the path has ended."""

    def __init__(self, path: Sequence[int], origin: str) -> None:
        self.taken = list(path)
        self.counts: list[int] = []
        self.values: dict[str, Any] = {}
        self._origin = origin

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Take the choice that the path names."""
        return self._take(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Take the whole number that the path names."""
        return self._take(name, range(low, high + 1, step))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Refuse: a range has no end of values."""
        raise InputError(
            f"{self._origin}: search.sampler: grid takes choice, int and subsets and {name} is a range; list its "
            "values with choice, or set search.sampler=qmc"
        )

    def _take(self, name: str, values: Sequence[Any]) -> Any:
        depth = len(self.counts)
        self.counts.append(len(values))
        if depth == len(self.taken):
            self.taken.append(0)
        self.values[name] = values[self.taken[depth]]
        return self.values[name]


def grid_points(space: SearchSpace) -> list[dict[str, Any]]:
    """Return each point of the space that is not forbidden once, as Optuna's parameters by name.

    Raises
    ------
    InputError
        For an axis that is a range, or more than `MAX_POINTS` points.
    """
    points: list[dict[str, Any]] = []
    path: list[int] | None = []
    walked = 0
    while path is not None:
        walk = _Walk(path, space.origin)
        if space.allows(space.suggest(walk)):
            points.append(walk.values)
        walked += 1
        if walked > MAX_POINTS:
            raise InputError(f"{space.origin}: search.sampler: grid has more than {MAX_POINTS} points in this space")
        path = _following(walk)
    return points


def _following(walk: _Walk) -> list[int] | None:
    """Return the path after a finished walk's, in depth-first order, or None after the last one."""
    path = walk.taken
    while path and path[-1] == walk.counts[len(path) - 1] - 1:
        path.pop()
    if not path:
        return None
    path[-1] += 1
    return path
