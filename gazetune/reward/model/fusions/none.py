"""The fusion `none`: the baseline without gaze."""

from __future__ import annotations

from torch import Tensor

from gazetune.reward.model.fusion import Fusion, GazeBatch, TokenBatch
from gazetune.reward.model.fusion_registry import register_fusion


@register_fusion("none")
class NoFusion(Fusion):
    """The text alone."""

    def fuse_gaze(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Return the tokens as they are."""
        return tokens.embeddings
