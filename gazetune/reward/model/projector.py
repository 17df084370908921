"""The gaze projector: reading measures to the backbone's embedding space."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from gazetune.config import Config

PROJECTOR_WIDTH = 128


class GazeProjector(nn.Module):
    """Linear(F,128) - LayerNorm - ReLU - Dropout(p1) - Linear(128,H) - Dropout(p2) - LayerNorm(H).

    Measures [..., F] to embeddings [..., H]. Source: GazeReward (arXiv 2410.01532); here the measures are standardised
    by the training split's mean and standard deviation first, which are saved with the model.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, features: int, hidden: int, dropout: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("sd", torch.ones(features))
        self.layers = nn.Sequential(
            nn.Linear(features, PROJECTOR_WIDTH),
            nn.LayerNorm(PROJECTOR_WIDTH),
            nn.ReLU(),
            nn.Dropout(dropout[0]),
            nn.Linear(PROJECTOR_WIDTH, hidden),
            nn.Dropout(dropout[1]),
            nn.LayerNorm(hidden),
        )

    def set_statistics(self, mean: Tensor, sd: Tensor) -> None:
        """Standardise every measure by this mean [F] and standard deviation [F] from now on."""
        self.mean.copy_(mean)
        # A measure that never varies must not divide by zero.
        self.sd.copy_(sd.clamp(min=1e-6))

    def forward(self, measures: Tensor) -> Tensor:
        """Return measures [..., F] in their own units as embeddings [..., H] of about unit scale."""
        standard = (measures.float() - self.mean.float()) / self.sd.float()
        return self.layers(standard.to(cast(nn.Linear, self.layers[0]).weight.dtype))


class ClosedGate(nn.Module):
    """tanh of a weight for each dimension, zero at first, times embeddings [..., H]; a module of its own for ZeRO-3."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(hidden))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return the embeddings as far as the gate lets them through."""
        return embeddings * torch.tanh(self.weight)


class EmbeddingScale(nn.Module):
    """A factor on embeddings [..., H] that brings them to the scale of the token embeddings, learned or fixed.

    A module of its own, since ZeRO-3 gathers a parameter only around the module that owns it, and only where that
    module takes and returns plain tensors.
    """

    factor: Tensor

    def __init__(self, start: float, learned: bool) -> None:
        super().__init__()
        if learned:
            self.factor = nn.Parameter(torch.tensor([start]))
        else:
            self.register_buffer("factor", torch.tensor([start]))

    @classmethod
    def from_config(cls, config: Config, embedding_rms: float) -> EmbeddingScale:
        """Return the factor that `fusion.scale` names; a learned one starts at `embedding_rms`."""
        if config.fusion.scale == "learned":
            return cls(embedding_rms, learned=True)
        return cls(float(config.fusion.scale), learned=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return the embeddings times the factor."""
        return embeddings * self.factor.to(embeddings.dtype)
