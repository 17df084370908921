"""How a study proposes trials: Optuna's samplers, each made anew for a proposal from the search's seed.

With a sampler made from (seed, number of trials begun), a proposal depends on nothing but the study: one trial at a
time, a search repeats exactly, and one that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from gazetune.errors import InputError
from gazetune.search.space.axes import IntAxis, RangeAxis
from gazetune.search.space.grid import grid_points
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.seeding import own_trials


class Samplers:
    """The samplers of one search.

    `parallel` says that trials are proposed while others run.
    """

    def __init__(self, space: SearchSpace, parallel: bool) -> None:
        self._search, self._parallel = space.config.search, parallel
        self._grid = GridPoints(grid_points(space), self._search.seed) if self._search.sampler == "grid" else None

    def at(self, begun: int) -> BaseSampler:
        """Return the sampler that proposes the next trial when `begun` trials were begun."""
        if self._grid is not None:
            return self._grid
        seed = int(np.random.SeedSequence([self._search.seed, begun]).generate_state(1)[0])
        match self._search.sampler:
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case "qmc":
                # The seed scrambles the whole sequence, and the study counts how much of it is used.
                return optuna.samplers.QMCSampler(
                    scramble=True,
                    seed=self._search.seed,
                    independent_sampler=optuna.samplers.RandomSampler(seed=seed),
                    warn_independent_sampling=False,
                )
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=population(self._search.trials))
        return optuna.samplers.TPESampler(
            seed=seed,
            multivariate=True,
            group=True,
            # Without it, trials proposed while others run are near-duplicates of those.
            constant_liar=self._parallel,
        )


def population(trials: int) -> int:
    """Return the trials of one NSGA-II generation: Optuna's 50, or fewer so that a search has five generations."""
    return min(50, max(4, trials // 5))


class GridPoints(BaseSampler):
    """Proposes points of a grid, each once, in an order that the seed shuffles.

    A trial gets the first point that no trial before it has, so the study is the only state.
    """

    def __init__(self, points: Sequence[dict[str, Any]], seed: int) -> None:
        self._points = [points[index] for index in np.random.default_rng(seed).permutation(len(points))]
        self._chosen: tuple[int, dict[str, Any]] = (-1, {})
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
    ) -> Any:
        """Return the parameter's value in the trial's point."""
        if self._chosen[0] != trial.number:
            self.infer_relative_search_space(study, trial)
        return self._chosen[1][param_name]


def check_sampler(space: SearchSpace) -> None:
    """Refuse a sampler that cannot draw from the space.

    Raises
    ------
    InputError
        One line that names the space and the axis in the way; for a grid also when it has fewer points than trials.
    """
    search = space.config.search
    if search.sampler == "cmaes":
        _check_cmaes(space)
    if search.sampler == "grid":
        points = len(grid_points(space))
        if search.trials > points:
            raise InputError(
                f"{space.origin}: search.trials: {search.trials} are more than the {points} points of the grid; "
                f"accepted: 1 to {points}"
            )


def _check_cmaes(space: SearchSpace) -> None:
    others = "tpe, random and qmc take every space"
    for axis in space.axes:
        if not isinstance(axis, RangeAxis | IntAxis):
            raise InputError(
                f"{space.origin}: search.sampler: cmaes draws numbers (uniform, log_uniform, int) and {axis.key} is "
                f"none; {others}"
            )
        if axis.when.keys:
            raise InputError(
                f"{space.origin}: search.sampler: cmaes needs every axis in every trial and {axis.key} has a "
                f"condition; {others}"
            )
    if len(space.axes) < 2:
        raise InputError(f"{space.origin}: search.sampler: cmaes needs at least two axes; {others}")
