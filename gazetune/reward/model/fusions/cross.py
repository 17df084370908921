"""The fusion `cross`: every token looks at the whole sequence of gaze."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gazetune.config import Config
from gazetune.reward.layout.attention import attend_segments
from gazetune.reward.model.fusion import Fusion, GazeBatch, TokenBatch
from gazetune.reward.model.fusion_registry import register_fusion
from gazetune.reward.model.projector import PROJECTOR_WIDTH, EmbeddingScale, GazeProjector

_HEADS = 4


@register_fusion("cross")
class CrossFusion(Fusion):
    """One layer of cross-attention from a text's tokens to its units, added to the tokens' embeddings.

    The layer's output matrix starts at zero, so an untrained model is exactly the one without gaze. Tokens and units
    carry sinusoidal embeddings (Vaswani et al. 2017): a unit of its number, a token of the number of the last unit that
    began at or before it.
    """

    takes_sequence = True
    mixes_messages = True

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__(config, hidden, embedding_rms)
        self.projector = GazeProjector(len(config.gaze.features), PROJECTOR_WIDTH, config.projector.dropout)
        self.norm = nn.LayerNorm(hidden)
        self.query = nn.Linear(hidden, PROJECTOR_WIDTH)
        self.key = nn.Linear(PROJECTOR_WIDTH, PROJECTOR_WIDTH)
        self.value = nn.Linear(PROJECTOR_WIDTH, PROJECTOR_WIDTH)
        self.output = nn.Linear(PROJECTOR_WIDTH, hidden, bias=False)
        nn.init.zeros_(self.output.weight)
        self.scale = EmbeddingScale.from_config(config, embedding_rms)

    def fuse_gaze(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Add to each token what it reads off the gaze on its text."""
        dtype = self.query.weight.dtype
        queries = self.query(self.norm(tokens.embeddings.to(dtype)))
        queries = queries + _sinusoidal_embeddings(gaze.last_unit_number, dtype)
        units = self.projector(gaze.units)
        keys = self.key(units + _sinusoidal_embeddings(gaze.unit_number, dtype))
        values = self.value(units)
        read = attend_segments(_split_heads(queries), _split_heads(keys), _split_heads(values), gaze.segments)
        read = read.transpose(0, 1).reshape(len(queries), PROJECTOR_WIDTH)
        return tokens.embeddings + self.scale(self.output(read)).to(tokens.embeddings.dtype)

    def set_gaze_statistics(self, mean: Tensor, sd: Tensor) -> None:
        """Standardise every measure by these from now on."""
        self.projector.set_statistics(mean, sd)

    def typical_measures(self) -> Tensor:
        """Return the mean [F] that measures are standardised by."""
        return self.projector.mean


def _split_heads(states: Tensor) -> Tensor:
    """Return states [rows, width] as [heads, rows, width of a head]."""
    return states.view(len(states), _HEADS, PROJECTOR_WIDTH // _HEADS).transpose(0, 1)


def _sinusoidal_embeddings(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """Return sines and cosines [rows, PROJECTOR_WIDTH] of numbers [rows]."""
    half = PROJECTOR_WIDTH // 2
    rates = torch.exp(torch.arange(half, device=numbers.device) * (-math.log(10000.0) / half))
    angles = numbers.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(dtype)
