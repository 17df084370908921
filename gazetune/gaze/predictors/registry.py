"""Which gaze predictors there are.

A new one is one more file in this folder, with a decorated factory:

    class MyPredictor:                      # a GazePredictor: `fingerprint` and `predict`
        ...

    @gaze_predictor("mine", measures=("FFD", "TRT"))
    def create_mine(config: Config) -> MyPredictor:
        return MyPredictor(config.gaze.path)

`gaze.predictor: mine` then finds it: all files of the folder are imported when a predictor is first asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gazetune.config import MEASURES, Config
from gazetune.config.presets import PUBLISHED_PREDICTORS
from gazetune.errors import InputError, did_you_mean
from gazetune.files.paths import path_exists
from gazetune.gaze.measures import GazePredictor

Factory = Callable[[Config], GazePredictor]


@dataclass(frozen=True, slots=True)
class RegisteredPredictor:
    """What is known of a predictor before it is built."""

    name: str
    """Value of the config key `gaze.predictor`."""
    create: Factory
    measures: tuple[str, ...]
    """The measures that it predicts. The others are 0 in what it returns, and no feature mask may ask for them."""
    units: Literal["word", "token"]
    """Whether its units are words, or tokens of its own, of which a word may have several."""
    reads_chats: bool
    """Whether it knows measures of any text, so that `gaze.context: chat` can give it whole conversations."""

    def unit_of(self, config: Config) -> Literal["word", "token"]:
        """Return what its units are under a config: with `gaze.predictor_units: reference` always its own tokens."""
        return "token" if config.gaze.predictor_units == "reference" else self.units


_predictors: dict[str, RegisteredPredictor] = {}


def gaze_predictor(
    name: str, measures: Sequence[str] = MEASURES, units: Literal["word", "token"] = "word", reads_chats: bool = True
) -> Callable[[Factory], Factory]:
    """Register the decorated factory under `name`. The parameters are the fields of `RegisteredPredictor`.

    Raises
    ------
    ValueError
        If another factory has the name already.
    """

    def register_factory(factory: Factory) -> Factory:
        if name in _predictors:
            raise ValueError(f"two gaze predictors are named '{name}'")
        _predictors[name] = RegisteredPredictor(name, factory, tuple(measures), units, reads_chats)
        return factory

    return register_factory


def predictor_names() -> list[str]:
    """Return the names of all gaze predictors, sorted."""
    _import_predictors()
    return sorted(_predictors)


def find_predictor(config: Config) -> RegisteredPredictor:
    """Return what is known of the predictor that `config.gaze.predictor` names.

    Raises
    ------
    InputError
        If no predictor has that name.
    """
    names = predictor_names()
    name = config.gaze.predictor
    if name not in names:
        raise InputError(f"gaze.predictor: '{name}' is no gaze predictor; {did_you_mean(name, names)}")
    return _predictors[name]


def check_predictor(config: Config) -> None:
    """Refuse a predictor that does not exist, or that lacks what the config asks of it, before anything is loaded.

    The config may ask for a measure (by its feature mask) and for measures of whole chats. The mask does not matter to
    `fusion.kind: none`, which sees no gaze.

    Raises
    ------
    InputError
        Naming the key, and what would be accepted.
    """
    predictor = find_predictor(config)
    name = predictor.name
    if config.gaze.context == "chat" and not predictor.reads_chats:
        raise InputError(f"gaze.context: chat: gaze.predictor '{name}' knows single messages only; accepted: message")
    if config.gaze.predictor_units == "reference" and name not in PUBLISHED_PREDICTORS:
        raise InputError(
            f"gaze.predictor_units: reference: gaze.predictor '{name}' is none of the reference's "
            f"({', '.join(PUBLISHED_PREDICTORS)}); accepted: words"
        )
    lacking = [measure for measure in config.gaze.features if measure not in predictor.measures]
    if lacking and config.fusion.kind != "none":
        raise InputError(
            f"gaze.features: gaze.predictor '{name}' does not predict {', '.join(lacking)}; "
            f"accepted: [{', '.join(predictor.measures)}]"
        )


def check_predictor_file(config: Config) -> None:
    """Refuse a predictor or a `gaze.path` that does not exist, before torch is imported, which takes seconds.

    Raises
    ------
    InputError
        As `check_predictor` and `create_predictor`.
    """
    check_predictor(config)
    if config.gaze.path is not None and not path_exists(config.gaze.path):
        create_predictor(config)  # the path may be on the hub; otherwise the factory says what it accepts


def create_predictor(config: Config) -> GazePredictor:
    """Return the predictor that `config.gaze.predictor` names, built from the config.

    Raises
    ------
    InputError
        If no predictor has that name, or its factory refuses the config.

    Examples
    --------
    >>> predictor = create_predictor(Config.model_validate({"gaze": {"predictor": "planted"}, "data": {"seed": 44}}))
    >>> predictor.fingerprint
    'planted-seed44-1'
    >>> (gaze,) = predictor.predict(["Why is the sky blue?"])
    >>> gaze.values.shape
    (5, 5)
    """
    return find_predictor(config).create(config)


def create_named_predictor(name: str, path: str | None = None) -> GazePredictor:
    """Return the predictor `name` with `path` as its file and every other key at its default.

    Raises
    ------
    InputError
        If no predictor has that name, or it cannot use the path.
    """
    return create_predictor(Config.model_validate({"gaze": {"predictor": name, "path": path}}))


def _import_predictors() -> None:
    # Imported here and not at the top: the predictors themselves import the decorator from this file.
    package = importlib.import_module("gazetune.gaze.predictors")
    for module in pkgutil.iter_modules(package.__path__, prefix="gazetune.gaze.predictors."):
        importlib.import_module(module.name)
