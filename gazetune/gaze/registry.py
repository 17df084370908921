"""Which gaze predictors there are. A new one is a file in `gazetune/gaze/predictors/` with a decorated factory."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError, did_you_mean
from gazetune.gaze.measures import GazePredictor

Factory = Callable[[Config], GazePredictor]

_factories: dict[str, Factory] = {}
_measures: dict[str, tuple[str, ...]] = {}
_units: dict[str, Literal["word", "token"]] = {}
_of_messages: set[str] = set()


def gaze_predictor(
    name: str, measures: Sequence[str] = MEASURES, units: Literal["word", "token"] = "word", reads_chats: bool = True
) -> Callable[[Factory], Factory]:
    """Register the decorated factory under `name`, the value of the config key `gaze.predictor`.

    Parameters
    ----------
    name
        The predictor's name.
    measures
        The measures that it predicts; the others are 0 in what it returns, and no feature mask may ask for them.
    units
        Whether its units are words, or tokens of its own, of which a word may have several.
    reads_chats
        Whether it knows measures of any text, so that `gaze.context: chat` can give it whole conversations.

    Raises
    ------
    ValueError
        If another factory has the name already.
    """

    def register(factory: Factory) -> Factory:
        if name in _factories:
            raise ValueError(f"two gaze predictors are named '{name}'")
        _factories[name] = factory
        _measures[name] = tuple(measures)
        _units[name] = units
        if not reads_chats:
            _of_messages.add(name)
        return factory

    return register


def predictor_names() -> list[str]:
    """Return the names of all gaze predictors, sorted."""
    _import_predictors()
    return sorted(_factories)


def check_predictor(config: Config) -> None:
    """Refuse, before anything is loaded, a predictor that there is not or that lacks what the config asks of it.

    That is a measure of the feature mask, or measures of whole chats. The mask does not matter to `fusion.kind: none`,
    which sees no gaze.

    Raises
    ------
    InputError
        Naming the key, and what would be accepted.
    """
    name = _known_name(config)
    if config.gaze.context == "chat" and name in _of_messages:
        raise InputError(f"gaze.context: chat: gaze.predictor '{name}' knows single messages only; accepted: message")
    lacking = [measure for measure in config.gaze.features if measure not in _measures[name]]
    if lacking and config.fusion.kind != "none":
        raise InputError(
            f"gaze.features: gaze.predictor '{name}' does not predict {', '.join(lacking)}; "
            f"accepted: [{', '.join(_measures[name])}]"
        )


def check_predictor_file(config: Config) -> None:
    """Refuse a predictor or a `gaze.path` that there is not, before torch is imported, which takes seconds.

    Raises
    ------
    InputError
        As `check_predictor` and `create_predictor`.
    """
    check_predictor(config)
    if config.gaze.path is not None and not Path(config.gaze.path).exists():
        create_predictor(config)  # it may be on the hub; else the factory says what it accepts


def predictor_units(config: Config) -> Literal["word", "token"]:
    """Return whether the units of the predictor that `config.gaze.predictor` names are words or tokens of its own.

    Raises
    ------
    InputError
        If no predictor has that name.
    """
    return _units[_known_name(config)]


def create_predictor(config: Config) -> GazePredictor:
    """Return the predictor that `config.gaze.predictor` names, built from the config.

    Raises
    ------
    InputError
        If no predictor has that name, or its factory refuses the config.
    """
    return _factories[_known_name(config)](config)


def predictor_named(name: str, path: str | None = None) -> GazePredictor:
    """Return the predictor `name` with `path` as its file and every other key at its default.

    Raises
    ------
    InputError
        If no predictor has that name, or it cannot use the path.
    """
    return create_predictor(Config.model_validate({"gaze": {"predictor": name, "path": path}}))


def _known_name(config: Config) -> str:
    names = predictor_names()
    name = config.gaze.predictor
    if name not in names:
        raise InputError(f"gaze.predictor: '{name}' is no gaze predictor; {did_you_mean(name, names)}")
    return name


def _import_predictors() -> None:
    # Imported here and not at the top: the predictors themselves import the decorator from this file.
    package = importlib.import_module("gazetune.gaze.predictors")
    for module in pkgutil.iter_modules(package.__path__, prefix="gazetune.gaze.predictors."):
        importlib.import_module(module.name)
