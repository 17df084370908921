"""Fusions: how reading measures join the text before the backbone reads it.

A fusion is a module with one signature, `fuse(tokens, gaze) -> FusedBatch`. Another one joins with `@fusion("name")` in
a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gazetune.config import Config
from gazetune.errors import InputError, did_you_mean
from gazetune.reward.projector import EmbeddingScale, GazeProjector


@dataclass(frozen=True)
class TokenBatch:
    """The text as the backbone's tokens; padding may lie on either side."""

    embeddings: Tensor
    """[B, T, H] input embeddings."""
    mask: Tensor
    """[B, T] bool, true at real tokens."""


@dataclass(frozen=True)
class GazeBatch:
    """Reading measures of the same texts, per unit of the predictor."""

    units: Tensor
    """[B, U, F] measures in their own units."""
    mask: Tensor
    """[B, U] bool, true at real units."""
    token_unit: Tensor
    """[B, T] index of the unit that a token belongs to, -1 for none."""
    token_share: Tensor
    """[B, T] share of the unit's measures that stands on the token."""


@dataclass(frozen=True)
class FusedBatch:
    """What the backbone reads: real positions first, then padding."""

    embeddings: Tensor
    """[B, L, H]"""
    mask: Tensor
    """[B, L] bool"""
    positions: Tensor
    """[B, L] int64, counted from 0 over the real positions of a row."""
    pool: Tensor
    """[B] index of the last real position."""


_FUSIONS: dict[str, type[Fusion]] = {}


def fusion(name: str) -> Callable[[type[Fusion]], type[Fusion]]:
    """Register a fusion class under `name` (the value of `fusion.kind`)."""

    def register(cls: type[Fusion]) -> type[Fusion]:
        _FUSIONS[name] = cls
        return cls

    return register


def fusion_names() -> list[str]:
    """Return the values that `fusion.kind` takes."""
    return list(_FUSIONS)


def check_fusion(name: str) -> None:
    """Raise `InputError` when `name` is no registered fusion."""
    if name not in _FUSIONS:
        raise InputError(f"fusion.kind: unknown fusion '{name}'; {did_you_mean(name, _FUSIONS)}")


def create_fusion(config: Config, hidden: int, embedding_rms: float) -> Fusion:
    """Build the fusion that `config` names, for embeddings of width `hidden` and root mean square `embedding_rms`."""
    check_fusion(config.fusion.kind)
    return _FUSIONS[config.fusion.kind](config, hidden, embedding_rms)


def fused_length(kind: str, tokens: int, units: int) -> int:
    """Return how many positions the backbone reads of a text of so many tokens and gaze units."""
    check_fusion(kind)
    return _FUSIONS[kind].length(tokens, units)


class Fusion(nn.Module):
    """Base of the fusions."""

    def forward(self, tokens: TokenBatch, gaze: GazeBatch) -> FusedBatch:
        """Join tokens and gaze; must not let a row depend on another row or on padding."""
        return self.fuse(tokens, gaze)

    def fuse(self, tokens: TokenBatch, gaze: GazeBatch) -> FusedBatch:
        """See `forward`."""
        raise TypeError(f"{type(self).__name__} does not define fuse()")

    @staticmethod
    def length(tokens: int, units: int) -> int:
        """Return the real positions of a row of so many tokens and units; grows with both."""
        return tokens

    def standardise_by(self, mean: Tensor, sd: Tensor) -> None:
        """Take the mean [F] and standard deviation [F] of the training split's measures, where they are of use."""


@fusion("none")
class NoFusion(Fusion):
    """The baseline: the text alone."""

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__()

    def fuse(self, tokens: TokenBatch, gaze: GazeBatch) -> FusedBatch:
        """Return the text as it is."""
        return compact(tokens.embeddings, tokens.mask)


class _ProjectedFusion(Fusion):
    """A fusion with a projector and a factor that brings its output to the scale of the token embeddings."""

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__()
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


@fusion("concat")
class ConcatFusion(_ProjectedFusion):
    """GazeConcat: `<eye/> gaze </eye> text`, or the text first, with one gaze token a unit."""

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__(config, hidden, embedding_rms)
        self.boundary = nn.Embedding(2, hidden)
        nn.init.normal_(self.boundary.weight, std=embedding_rms)
        self.gaze_first = config.fusion.position == "before"

    @staticmethod
    def length(tokens: int, units: int) -> int:
        """Return the tokens, the units and the two boundaries."""
        return tokens + units + 2

    def fuse(self, tokens: TokenBatch, gaze: GazeBatch) -> FusedBatch:
        """Put the boundary embeddings and the gaze tokens beside the text; L = T + U + 2."""
        rows, dtype = tokens.mask.shape[0], tokens.embeddings.dtype
        edges = self.boundary(torch.arange(2, device=tokens.mask.device)).to(dtype)
        opening, closing = (edge.expand(rows, 1, -1) for edge in edges)
        present = tokens.mask.new_ones(rows, 1)
        eyes = torch.cat([opening, self.project(gaze.units).to(dtype), closing], dim=1)
        eyes_mask = torch.cat([present, gaze.mask, present], dim=1)
        parts = [(eyes, eyes_mask), (tokens.embeddings, tokens.mask)]
        if not self.gaze_first:
            parts.reverse()
        return compact(torch.cat([part[0] for part in parts], dim=1), torch.cat([part[1] for part in parts], dim=1))


@fusion("add")
class AddFusion(_ProjectedFusion):
    """GazeAdd: the measures that stand on a token are projected and added to its input embedding."""

    def fuse(self, tokens: TokenBatch, gaze: GazeBatch) -> FusedBatch:
        """Add gaze to the tokens that have a unit; all others stay as they are."""
        has_unit = (gaze.token_unit >= 0) & tokens.mask
        index = gaze.token_unit.clamp(min=0).unsqueeze(-1).expand(-1, -1, gaze.units.shape[-1])
        on_token = gaze.units.gather(1, index) * gaze.token_share.unsqueeze(-1)
        added = self.project(on_token) * has_unit.unsqueeze(-1)
        return compact(tokens.embeddings + added.to(tokens.embeddings.dtype), tokens.mask)


def compact(embeddings: Tensor, mask: Tensor) -> FusedBatch:
    """Move the real positions [B, L] of every row to its front, in order, and cut L to the longest row.

    A row then looks the same whatever side its padding came on and whatever lies between its parts, so its reward
    cannot depend on its batch mates, and a batch takes no more positions than its longest row needs.
    """
    lengths = mask.sum(dim=1)
    order = torch.argsort(~mask, dim=1, stable=True)[:, : int(lengths.max())]
    positions = torch.arange(order.shape[1], device=mask.device).expand_as(order)
    real = positions < lengths.unsqueeze(1)
    moved = embeddings.gather(1, order.unsqueeze(-1).expand(-1, -1, embeddings.shape[-1]))
    # Whatever stood on padding is replaced, so that no stray value there can reach a reward through 0 * NaN.
    moved = moved.masked_fill(~real.unsqueeze(-1), 0.0)
    return FusedBatch(moved, real, positions * real, lengths - 1)
