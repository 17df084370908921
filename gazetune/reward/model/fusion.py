"""Fusions: how reading measures join the text before the backbone reads it.

A fusion is a module with one signature, `fuse(tokens, gaze) -> [rows, H]`. Another one is a file in
`gazetune/reward/model/fusions/` with a class decorated by `@fusion("name")`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from gazetune.config import Config
from gazetune.errors import InputError, did_you_mean
from gazetune.reward.layout.attention import Runs
from gazetune.reward.model.projector import EmbeddingScale, GazeProjector


@dataclass(frozen=True)
class TokenBatch:
    """The texts of a batch as the backbone's tokens, one text after another."""

    embeddings: Tensor
    """[N, H] input embeddings."""


@dataclass(frozen=True)
class GazeBatch:
    """Reading measures of the same texts, per unit, in the same order."""

    units: Tensor
    """[M, F] measures in their own units."""
    token_unit: Tensor
    """[N] index of the unit that a token belongs to, -1 for none."""
    token_share: Tensor
    """[N] share of the unit's measures that stands on the token."""
    unit_place: Tensor
    """[M] number of the unit in its text."""
    token_place: Tensor
    """[N] number of the last unit of its text that a token up to this one belongs to, 0 before the first."""
    of_texts: Runs
    """How many tokens (queries) and units (keys) each text has."""


_FUSIONS: dict[str, type[Fusion]] = {}


def fusion(name: str) -> Callable[[type[Fusion]], type[Fusion]]:
    """Register a fusion class under `name` (the value of `fusion.kind`)."""

    def register(cls: type[Fusion]) -> type[Fusion]:
        _FUSIONS[name] = cls
        return cls

    return register


def fusion_names() -> list[str]:
    """Return the values that `fusion.kind` takes."""
    package = importlib.import_module("gazetune.reward.model.fusions")
    for module in pkgutil.iter_modules(package.__path__, prefix=f"{package.__name__}."):
        importlib.import_module(module.name)
    return list(_FUSIONS)


def check_fusion(name: str) -> None:
    """Raise `InputError` when `name` is no registered fusion."""
    names = fusion_names()
    if name not in names:
        raise InputError(f"fusion.kind: unknown fusion '{name}'; {did_you_mean(name, names)}")


def fusion_class(name: str) -> type[Fusion]:
    """Return the class registered under `name`, or raise `InputError`."""
    check_fusion(name)
    return _FUSIONS[name]


def create_fusion(config: Config, hidden: int, embedding_rms: float) -> Fusion:
    """Build the fusion that `config` names, for embeddings of width `hidden` and root mean square `embedding_rms`."""
    built = fusion_class(config.fusion.kind)(config, hidden, embedding_rms)
    return built.requires_grad_(not config.fusion.freeze)


def takes_sequence(kind: str) -> bool:
    """Return whether the fusion takes units of gaze as a sequence, and so units of any size (see `Fusion.sequence`)."""
    return fusion_class(kind).sequence


def fused_length(kind: str, tokens: int, units: int) -> int:
    """Return how many positions the backbone reads of a text of so many tokens and gaze units."""
    return tokens + units + 2 if fusion_class(kind).gaze_tokens else tokens


class Fusion(nn.Module):
    """Base of the fusions."""

    sequence: ClassVar[bool] = False
    """Whether units are taken as a sequence of their own; otherwise they stand on tokens, and must be words."""
    gaze_tokens: ClassVar[bool] = False
    """Whether gaze stands beside the text as positions of its own."""
    mixes_messages: ClassVar[bool] = False
    """Whether what stands for a token depends on gaze on other messages, so that a prompt cannot be shared."""

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__()

    def forward(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Join tokens and gaze; must not let a text depend on another one."""
        return self.fuse(tokens, gaze)

    def fuse(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Return what the backbone reads: [N, H] for the tokens, or [N + M + 2, H] with `gaze_tokens`.

        The M units follow the N tokens, then come an opening and a closing boundary; where each stands beside the text
        is for the layout of the batch.
        """
        raise TypeError(f"{type(self).__name__} does not define fuse()")

    def standardise_by(self, mean: Tensor, sd: Tensor) -> None:
        """Take the mean [F] and standard deviation [F] of the training split's measures, where they are of use."""


class ProjectedFusion(Fusion):
    """A fusion with a projector and a factor that brings its output to the scale of the token embeddings."""

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__(config, hidden, embedding_rms)
        self.projector = GazeProjector(len(config.gaze.features), hidden, config.projector.dropout)
        learned = config.fusion.scale == "learned"
        self.scale = EmbeddingScale(embedding_rms if learned else float(config.fusion.scale), learned)

    def project(self, measures: Tensor) -> Tensor:
        """Measures [..., F] to embeddings [..., H] at the scale of the token embeddings."""
        return self.scale(self.projector(measures))

    def standardise_by(self, mean: Tensor, sd: Tensor) -> None:
        """Standardise every measure by these from now on."""
        self.projector.mean.copy_(mean)
        self.projector.sd.copy_(sd.clamp(min=1e-6))
