"""What a search improves: one objective, or several at once with a Pareto front for a result."""

from __future__ import annotations

from collections.abc import Iterable

from gazetune.config import ResourcesConfig, SearchConfig
from gazetune.errors import InputError
from gazetune.search.study.samplers import SAMPLERS, sampler_names
from gazetune.trials.messages import TrainingReport
from gazetune.trials.objective import Direction, Objective

OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("val/accuracy", "maximize"),
        Objective("val/loss", "minimize"),
        Objective("gpu_seconds", "minimize"),
        Objective("train_seconds", "minimize"),
    )
}
"""By name, as `search.objective` has it."""


def objectives_of(search: SearchConfig) -> tuple[Objective, ...]:
    """Return the objectives of a search, in the order in which the study has their values.

    Examples
    --------
    >>> [objective.name for objective in objectives_of(SearchConfig(objective="val/loss"))]
    ['val/loss']
    """
    names = (search.objective,) if isinstance(search.objective, str) else search.objective
    return tuple(OBJECTIVES[name] for name in names)


def directions_of(search: SearchConfig) -> list[Direction]:
    """Return what Optuna calls the better way for each objective: `maximize` or `minimize`."""
    return [objective.direction for objective in objectives_of(search)]


def validation_objective(search: SearchConfig) -> Objective:
    """Return the first objective that validation pairs measure: what schedulers and progress look at."""
    return next(objective for objective in objectives_of(search) if objective.name.startswith("val/"))


def objective_values(search: SearchConfig, report: TrainingReport) -> list[float]:
    """Return the value of each objective at one evaluation, as it was measured."""
    return [objective.value(report) for objective in objectives_of(search)]


def check_objectives(search: SearchConfig, shapes: Iterable[ResourcesConfig], origin: str) -> None:
    """Refuse objectives that say nothing of such trials, and samplers that cannot work with so many.

    Raises
    ------
    InputError
        One line that names `origin`, key and value.
    """
    names = [objective.name for objective in objectives_of(search)]
    shown = f"{origin}: search.objective: [{', '.join(names)}]"
    takes = SAMPLERS[search.sampler].objectives
    if isinstance(search.objective, str):
        if takes == "several":
            accepted = sampler_names(lambda record: record.objectives != "several")
            raise InputError(
                f"{origin}: search.sampler: {search.sampler} is for several objectives and search.objective is "
                f"{names[0]}; accepted with one: {accepted}"
            )
        return
    if len(set(names)) < max(2, len(names)):
        raise InputError(f"{shown} is not accepted; a list needs at least two objectives, each once")
    if not any(name.startswith("val/") for name in names):
        raise InputError(f"{shown} is not accepted; one of val/accuracy, val/loss must be among them")
    if "gpu_seconds" in names and not any(shape.gpus for shape in shapes):
        raise InputError(f"{shown}: gpu_seconds is always 0, as resources.gpus_per_worker is 0; train_seconds is not")
    if takes == "one":
        accepted = sampler_names(lambda record: record.objectives != "one")
        raise InputError(
            f"{origin}: search.sampler: {search.sampler} improves one objective and there are {len(names)}; "
            f"accepted with several: {accepted}"
        )
