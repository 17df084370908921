"""What a search improves: one objective, or several at once with a Pareto front for a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from gazetune.config import ResourcesConfig, SearchConfig
from gazetune.errors import InputError

DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {
    "val/accuracy": "maximize",
    "val/loss": "minimize",
    "gpu_seconds": "minimize",
    "train_seconds": "minimize",
}


def objectives(search: SearchConfig) -> tuple[str, ...]:
    """Return the objectives of a search, in the order in which the study has their values."""
    return (search.objective,) if isinstance(search.objective, str) else tuple(search.objective)


def directions(search: SearchConfig) -> list[Literal["maximize", "minimize"]]:
    """Return what Optuna calls the better way for each objective: `maximize` or `minimize`."""
    return [DIRECTIONS[name] for name in objectives(search)]


def validation_objective(search: SearchConfig) -> str:
    """Return the first objective that validation pairs measure: what schedulers and progress look at."""
    return next(name for name in objectives(search) if name.startswith("val/"))


def sign(objective: str) -> float:
    """Return the factor that makes more of an objective the better."""
    return 1.0 if DIRECTIONS[objective] == "maximize" else -1.0


def values(search: SearchConfig, message: Mapping[str, Any]) -> list[float]:
    """Return the value of each objective at one evaluation.

    `message` is that of the board: `metrics` by name, and `train_seconds` and `gpu_seconds` of the trial so far.
    """
    measured = {**message["metrics"], **{name: message[name] for name in ("train_seconds", "gpu_seconds")}}
    return [float(measured[name]) for name in objectives(search)]


def check_objectives(search: SearchConfig, shapes: Iterable[ResourcesConfig], origin: str) -> None:
    """Refuse objectives that say nothing of such trials, and samplers and schedulers that cannot work with so many.

    Raises
    ------
    InputError
        One line that names `origin`, key and value.
    """
    names = objectives(search)
    shown = f"{origin}: search.objective: [{', '.join(names)}]"
    if isinstance(search.objective, str):
        if search.sampler == "nsga2":
            raise InputError(
                f"{origin}: search.sampler: nsga2 is for several objectives and search.objective is {names[0]}; "
                "accepted with one: tpe, cmaes, random, qmc, grid"
            )
        return
    if len(set(names)) < max(2, len(names)):
        raise InputError(f"{shown} is not accepted; a list needs at least two objectives, each once")
    if not any(name.startswith("val/") for name in names):
        raise InputError(f"{shown} is not accepted; one of val/accuracy, val/loss must be among them")
    if "gpu_seconds" in names and not any(shape.gpus for shape in shapes):
        raise InputError(f"{shown}: gpu_seconds is always 0, as resources.gpus_per_worker is 0; train_seconds is not")
    if search.sampler == "cmaes":
        raise InputError(
            f"{origin}: search.sampler: cmaes improves one objective and there are {len(names)}; "
            "accepted with several: tpe, nsga2, random, qmc, grid"
        )
    if search.scheduler != "none":
        raise InputError(
            f"{origin}: search.scheduler: {search.scheduler} stops trials that are behind on one objective, and with "
            f"{len(names)} such a trial may be the best on another; set search.scheduler=none"
        )
