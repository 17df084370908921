"""Which gaze predictors there are. A new one is a file in `gazetune/gaze/predictors/` with a decorated factory."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from gazetune.config import Config
from gazetune.errors import InputError, did_you_mean
from gazetune.gaze.measures import GazePredictor

Factory = Callable[[Config], GazePredictor]

_factories: dict[str, Factory] = {}


def gaze_predictor(name: str) -> Callable[[Factory], Factory]:
    """Register the decorated factory under `name`, the value of the config key `gaze.predictor`.

    Raises
    ------
    ValueError
        If another factory has the name already.
    """

    def register(factory: Factory) -> Factory:
        if name in _factories:
            raise ValueError(f"two gaze predictors are named '{name}'")
        _factories[name] = factory
        return factory

    return register


def predictor_names() -> list[str]:
    """Return the names of all gaze predictors, sorted."""
    _import_predictors()
    return sorted(_factories)


def create_predictor(config: Config) -> GazePredictor:
    """Return the predictor that `config.gaze.predictor` names, built from the config.

    Raises
    ------
    InputError
        If no predictor has that name, or its factory refuses the config.
    """
    names = predictor_names()
    name = config.gaze.predictor
    if name not in names:
        raise InputError(f"gaze.predictor: '{name}' is no gaze predictor; {did_you_mean(name, names)}")
    return _factories[name](config)


def _import_predictors() -> None:
    # Imported here and not at the top: the predictors themselves import the decorator from this file.
    package = importlib.import_module("gazetune.gaze.predictors")
    for module in pkgutil.iter_modules(package.__path__, prefix="gazetune.gaze.predictors."):
        importlib.import_module(module.name)
