"""The fusion `gated`: addition through a gate that starts closed."""

from __future__ import annotations

from torch import Tensor

from gazetune.config import Config
from gazetune.reward.model.fusion import GazeBatch, TokenBatch
from gazetune.reward.model.fusion_registry import register_fusion
from gazetune.reward.model.fusions.add import AddFusion
from gazetune.reward.model.projector import ClosedGate


@register_fusion("gated")
class GatedFusion(AddFusion):
    """`add` times tanh of a learned gate that starts at zero: an untrained model is exactly the one without gaze.

    Source of the gate: Flamingo (Alayrac et al. 2022, arXiv 2204.14198); here one for each dimension.
    """

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__(config, hidden, embedding_rms)
        self.gate = ClosedGate(hidden)

    def fuse_gaze(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Add gaze, as far as the gate lets it through, to the tokens that have a unit."""
        return tokens.embeddings + self.gate(self.project_on_tokens(gaze)).to(tokens.embeddings.dtype)
