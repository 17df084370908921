"""The fusion `cross`: every token looks at the whole sequence of gaze."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gazetune.config import Config
from gazetune.reward.layout.attention import attend
from gazetune.reward.model.fusion import Fusion, GazeBatch, TokenBatch, fusion
from gazetune.reward.model.projector import PROJECTOR_WIDTH, EmbeddingScale, GazeProjector

_HEADS = 4


@fusion("cross")
class CrossFusion(Fusion):
    """One layer of cross-attention from a text's tokens to its units, added to the tokens' embeddings.

    The layer's output matrix starts at zero, so an untrained model is exactly the one without gaze. Tokens and units
    carry sinusoidal places (Vaswani et al. 2017): a unit its number, a token the number of the last unit that began at
    or before it.
    """

    sequence = True
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
        learned = config.fusion.scale == "learned"
        self.scale = EmbeddingScale(embedding_rms if learned else float(config.fusion.scale), learned)

    def fuse(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Add to each token what it reads off the gaze on its text."""
        dtype = self.query.weight.dtype
        queries = self.query(self.norm(tokens.embeddings.to(dtype))) + _sinusoids(gaze.token_place, dtype)
        units = self.projector(gaze.units)
        keys = self.key(units + _sinusoids(gaze.unit_place, dtype))
        values = self.value(units)
        read = attend(_split_heads(queries), _split_heads(keys), _split_heads(values), gaze.of_texts)
        read = read.transpose(0, 1).reshape(len(queries), PROJECTOR_WIDTH)
        return tokens.embeddings + self.scale(self.output(read)).to(tokens.embeddings.dtype)

    def standardise_by(self, mean: Tensor, sd: Tensor) -> None:
        """Standardise every measure by these from now on."""
        self.projector.mean.copy_(mean)
        self.projector.sd.copy_(sd.clamp(min=1e-6))


def _split_heads(states: Tensor) -> Tensor:
    """[rows, width] to [heads, rows, width of a head]."""
    return states.view(len(states), _HEADS, PROJECTOR_WIDTH // _HEADS).transpose(0, 1)


def _sinusoids(places: Tensor, dtype: torch.dtype) -> Tensor:
    """Sines and cosines of places [rows], [rows, PROJECTOR_WIDTH]."""
    half = PROJECTOR_WIDTH // 2
    rates = torch.exp(torch.arange(half, device=places.device) * (-math.log(10000.0) / half))
    angles = places.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(dtype)
