"""`grid`: every combination that conditions and `forbid` allow, once, in an order that the seed shuffles.

Optuna has two samplers for this, and neither would do. `GridSampler` takes the product of the values of all parameters,
which it keeps in memory as a list: it knows no conditions, so a combination with a closed axis would come once for each
value of that axis. `BruteForceSampler` finds conditions out while it draws, but it cannot say beforehand how many
points there are, does not know `forbid`, and builds a tree of all trials for each parameter that it draws. Both call
`Study.stop` when they are through, which raises an error outside of `Study.optimize`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalChoiceType
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from gazetune.errors import InputError
from gazetune.search.space.axes import ChoiceAxis, FixedAxis, IntAxis, SubsetsAxis
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.own_trials import own_trials
from gazetune.search.study.samplers.registry import MakeWithSeed, sampler

MAX_POINTS = 100_000
"""A larger grid is refused: nobody trains so many trials, and a slip in the space is likelier."""

Point = dict[str, object]
"""Optuna's parameters of one combination, by name."""


def check_grid(space: SearchSpace) -> None:
    """Refuse a space with ranges, and more trials than there are points.

    Raises
    ------
    InputError
        As `grid_points`, and when the search has more trials than the grid has points.
    """
    points, trials = len(grid_points(space)), space.config.search.trials
    if trials > points:
        raise InputError(
            f"{space.origin}: search.trials: {trials} are more than the {points} points of the grid; "
            f"accepted: 1 to {points}"
        )


@sampler(
    "grid",
    summary="every combination that conditions and `forbid` allow, once, in an order that the seed shuffles",
    source="written here; see the top of this file",
    axis_kinds=(ChoiceAxis, FixedAxis, IntAxis, SubsetsAxis),
    check=check_grid,
)
def prepare_grid(space: SearchSpace, parallel: bool) -> MakeWithSeed:
    """Return what gives the one sampler of all proposals: the order of the points follows from the search's seed."""
    grid = ConditionalGridSampler(grid_points(space), space.config.search.seed)
    return lambda seed: grid


class ConditionalGridSampler(BaseSampler):
    """Proposes points of a grid, each once, in an order that the seed shuffles.

    A trial gets the first point that no trial before it has, so the study is the only state.
    """

    def __init__(self, points: Sequence[Point], seed: int) -> None:
        self._points = [points[index] for index in np.random.default_rng(seed).permutation(len(points))]
        self._chosen: tuple[int, Point] = (-1, {})
        """Number of the trial that is being proposed, and its point."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Choose the trial's point. Nothing is sampled relatively: each parameter is looked up by itself."""
        earlier = (each for each in own_trials(study) if each.number < trial.number)
        taken = {frozenset(each.params.items()) for each in earlier}
        free = (point for point in self._points if frozenset(point.items()) not in taken)
        self._chosen = (trial.number, next(free, self._points[0]))
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing: each parameter is looked up by itself."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> object:
        """Return the parameter's value in the trial's point."""
        if self._chosen[0] != trial.number:
            self.infer_relative_search_space(study, trial)
        return self._chosen[1][param_name]


def grid_points(space: SearchSpace) -> list[Point]:
    """Return each point of the space that is not forbidden once.

    The space asks for its values again and again. What a walk answers is a path through the tree of all answers, and
    the next path is the one behind it, depth first, as the digits of an odometer turn.

    Raises
    ------
    InputError
        For an axis that is a range, or more than `MAX_POINTS` points.
    """
    points: list[Point] = []
    path: list[int] | None = []
    walked = 0
    while path is not None:
        walk = _Walk(path, space.origin)
        if space.is_allowed(space.suggest_values(walk)):
            points.append(walk.point)
        walked += 1
        if walked > MAX_POINTS:
            raise InputError(f"{space.origin}: search.sampler: grid has more than {MAX_POINTS} points in this space")
        path = walk.next_path()
    return points


class _Walk:
    """Answers as a trial does: takes the values a path names, and the first one wherever the path has ended."""

    def __init__(self, path: Sequence[int], origin: str) -> None:
        self.point: Point = {}
        """The parameters that were asked for."""
        self._taken = list(path)
        """Which value was taken at each question, by position."""
        self._counts: list[int] = []
        """How many values each question had."""
        self._origin = origin

    def suggest_categorical(self, name: str, choices: Sequence[CategoricalChoiceType]) -> CategoricalChoiceType:
        """Take the choice that the path names."""
        self.point[name] = choice = choices[self._take_position(len(choices))]
        return choice

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Take the whole number that the path names."""
        values = range(low, high + 1, step)
        self.point[name] = value = values[self._take_position(len(values))]
        return value

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Refuse: a range has no end of values."""
        raise InputError(
            f"{self._origin}: search.sampler: grid takes choice, int and subsets and {name} is a range; list its "
            "values with choice, or set search.sampler=qmc"
        )

    def _take_position(self, count: int) -> int:
        depth = len(self._counts)
        self._counts.append(count)
        if depth == len(self._taken):
            self._taken.append(0)
        return self._taken[depth]

    def next_path(self) -> list[int] | None:
        """Return the path after a finished walk's, in depth-first order, or None after the last one."""
        path = list(self._taken)
        while path and path[-1] == self._counts[len(path) - 1] - 1:
            path.pop()
        if not path:
            return None
        path[-1] += 1
        return path
