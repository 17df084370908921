"""Fusions: how reading measures join the text before the backbone reads it.

A fusion is a module with one signature, `fuse_gaze(tokens, gaze) -> [rows, H]`. How one joins is said in
`fusion_registry.py`. Its class attributes say what other parts must know of it: whether its units may be finer than
words, how many positions it adds (batches, the room in the backbone, the memory plan), and whether a pair may share its
prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from gazetune.config import Config
from gazetune.reward.layout.attention import Segments
from gazetune.reward.layout.batch_layout import GAZE_BOUNDARIES
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
    unit_number: Tensor
    """[M] number of the unit in its text."""
    last_unit_number: Tensor
    """[N] number of the last unit of its text that a token up to this one belongs to, 0 before the first."""
    segments: Segments
    """How many tokens (queries) and units (keys) each text has."""


class Fusion(nn.Module):
    """Base of the fusions."""

    takes_sequence: ClassVar[bool] = False
    """Whether units are taken as a sequence of their own; otherwise they stand on tokens, and must be words."""
    positions_per_unit: ClassVar[Literal[0, 1]] = 0
    """Positions that the backbone reads for each unit of gaze, beside the text. With 1, two boundaries stand around the
    units of a text."""
    mixes_messages: ClassVar[bool] = False
    """Whether what stands for a token depends on gaze on other messages, so that a prompt cannot be shared."""

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__()

    @classmethod
    def fused_length(cls, tokens: int, units: int) -> int:
        """Return how many positions the backbone reads of a text of so many tokens and units of gaze."""
        return tokens + units + GAZE_BOUNDARIES if cls.positions_per_unit else tokens

    def forward(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Join tokens and gaze; must not let a text depend on another one."""
        return self.fuse_gaze(tokens, gaze)

    def fuse_gaze(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Return what the backbone reads: [N, H] for the tokens, or [N + M + 2, H] with `positions_per_unit` 1.

        The M units follow the N tokens, then come an opening and a closing boundary. The layout of the batch decides
        where each stands beside the text.
        """
        raise TypeError(f"{type(self).__name__} does not define fuse_gaze()")

    def set_gaze_statistics(self, mean: Tensor, sd: Tensor) -> None:
        """Take the mean [F] and standard deviation [F] of the training split's measures, where they are of use."""

    def typical_measures(self) -> Tensor | None:
        """Return the measures [F] that say nothing: the mean that measures are standardised by, else zeros.

        None for a fusion that sees no gaze.
        """
        return None


class ProjectedFusion(Fusion):
    """A fusion with a projector and a factor that brings its output to the scale of the token embeddings."""

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__(config, hidden, embedding_rms)
        self.projector = GazeProjector(len(config.gaze.features), hidden, config.projector.dropout)
        self.scale = EmbeddingScale.from_config(config, embedding_rms)

    def project_measures(self, measures: Tensor) -> Tensor:
        """Return measures [..., F] as embeddings [..., H] at the scale of the token embeddings."""
        return self.scale(self.projector(measures))

    def set_gaze_statistics(self, mean: Tensor, sd: Tensor) -> None:
        """Standardise every measure by these from now on."""
        self.projector.set_statistics(mean, sd)

    def typical_measures(self) -> Tensor:
        """Return the mean [F] that measures are standardised by."""
        return self.projector.mean
