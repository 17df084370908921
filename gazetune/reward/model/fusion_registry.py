"""Which fusions there are.

To add one, write a file `gazetune/reward/model/fusions/NAME.py` with a class that `@register_fusion("NAME")` decorates;
`fusion.kind: NAME` then takes it, and no list elsewhere has to be kept. The names are those of the files, so whether a
config names a fusion is known without importing torch; the class is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from gazetune.config import Config
from gazetune.config.file_names import names_of_files
from gazetune.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from gazetune.reward.model.fusion import Fusion

_FUSIONS: dict[str, type[Fusion]] = {}


def register_fusion(name: str) -> Callable[[type[Fusion]], type[Fusion]]:
    """Return a decorator that registers a fusion class under `name` (the value of `fusion.kind`)."""

    def add_class(cls: type[Fusion]) -> type[Fusion]:
        _FUSIONS[name] = cls
        return cls

    return add_class


def fusion_names() -> list[str]:
    """Return the values that `fusion.kind` takes."""
    return list(dict.fromkeys([*names_of_files("reward/model/fusions"), *_FUSIONS]))


def check_fusion_kind(name: str) -> None:
    """Raise `InputError` when `name` is no registered fusion. Imports no fusion."""
    names = fusion_names()
    if name not in names:
        raise InputError(f"fusion.kind: unknown fusion '{name}'; {did_you_mean(name, names)}")


def fusion_class(name: str) -> type[Fusion]:
    """Return the class registered under `name`.

    Raises
    ------
    InputError
        When `name` is no registered fusion.

    Examples
    --------
    >>> fusion_class("concat").fused_length(tokens=40, units=30)
    72
    >>> fusion_class("add").fused_length(tokens=40, units=30)
    40
    """
    check_fusion_kind(name)
    if name not in _FUSIONS:
        importlib.import_module(f"gazetune.reward.model.fusions.{name}")
    return _FUSIONS[name]


def create_fusion(config: Config, hidden: int, embedding_rms: float) -> Fusion:
    """Build the fusion that `config` names.

    Parameters
    ----------
    config
        Its sections `fusion`, `projector` and `gaze.features` count.
    hidden
        Width H of the backbone's input embeddings.
    embedding_rms
        Root mean square of the backbone's input embeddings.

    Raises
    ------
    InputError
        When `fusion.kind` is no registered fusion.
    """
    built = fusion_class(config.fusion.kind)(config, hidden, embedding_rms)
    return built.requires_grad_(not config.fusion.freeze)
