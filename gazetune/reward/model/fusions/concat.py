"""The fusion `concat`: gaze tokens beside the text (GazeConcat, arXiv 2410.01532)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gazetune.config import Config
from gazetune.reward.model.fusion import GazeBatch, ProjectedFusion, TokenBatch
from gazetune.reward.model.fusion_registry import register_fusion


@register_fusion("concat")
class ConcatFusion(ProjectedFusion):
    """`<eye/> gaze </eye> text`, or the text first, with one gaze token a unit."""

    takes_sequence = True
    positions_per_unit = 1

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__(config, hidden, embedding_rms)
        self.boundary = nn.Embedding(2, hidden)
        nn.init.normal_(self.boundary.weight, std=embedding_rms)

    def fuse_gaze(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Return tokens, projected units and the two boundaries, [N + M + 2, H]."""
        dtype = tokens.embeddings.dtype
        edges = self.boundary(torch.arange(2, device=tokens.embeddings.device)).to(dtype)
        return torch.cat([tokens.embeddings, self.project_measures(gaze.units).to(dtype), edges])
