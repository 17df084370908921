"""What a search space holds, as a JSON object, with some configs that it can propose."""

from __future__ import annotations

from typing import TypedDict

import optuna

from gazetune.errors import InputError
from gazetune.search.space.points import try_first_points
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.train.checks import check_config

SAMPLES = 5
"""Random configs that are shown."""


class AxisDocument(TypedDict):
    """One axis, in words."""

    key: str
    values: str
    count: int | None
    """How many values it has; None for a range of real numbers."""
    when: str | None
    """The condition under which it is searched; None for always."""


class SampleDocument(TypedDict):
    """A config that the space can propose."""

    params: dict[str, object]
    refused: str | None
    """Why the config cannot train, where it cannot."""


class SpaceDocument(TypedDict):
    """A search space."""

    name: str
    file: str
    trials: int
    combinations: int | None
    """How many configs there are; None where there are ranges of real numbers."""
    finite_combinations: int
    """The same over the axes without such ranges."""
    exact: bool
    """Whether `finite_combinations` was counted to the end; if not, there are at least so many."""
    axes: list[AxisDocument]
    forbid: list[str]
    try_first: list[dict[str, object]]
    history: int
    """Trials of other searches that the sampler knows."""
    samples: list[SampleDocument]


def describe_space(space: SearchSpace) -> SpaceDocument:
    """Return what a space holds, with seeded random samples."""
    size = space.count_combinations()
    return {
        "name": space.name,
        "file": space.origin,
        "trials": space.config.search.trials,
        "combinations": None if size.infinite else size.finite,
        "finite_combinations": size.finite,
        "exact": size.exact,
        "axes": [
            {"key": axis.key, "values": str(axis), "count": axis.count_values(), "when": str(axis.when) or None}
            for axis in space.axes
        ],
        "forbid": [str(condition) for condition in space.forbid],
        "try_first": [dict(params) for params in try_first_points(space)],
        "history": len(space.extras.history),
        "samples": _draw_samples(space),
    }


def _draw_samples(space: SearchSpace) -> list[SampleDocument]:
    """Return seeded random samples, and of each why it cannot train, where it cannot."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=space.config.search.seed))
    samples: list[SampleDocument] = []
    for _ in range(SAMPLES):
        params = propose_values(study.ask(), space)
        refused = None
        try:
            check_config(space.trial_config(params))
        except InputError as error:
            refused = str(error)
        samples.append({"params": params, "refused": refused})
    return samples
