"""The fusion `add`: gaze on a token is added to its embedding (GazeAdd, arXiv 2410.01532)."""

from __future__ import annotations

from torch import Tensor

from gazetune.config import Config
from gazetune.reward.model.fusion import GazeBatch, ProjectedFusion, TokenBatch
from gazetune.reward.model.fusion_registry import register_fusion


@register_fusion("add")
class AddFusion(ProjectedFusion):
    """The measures that stand on a token are projected and added to its input embedding."""

    def __init__(self, config: Config, hidden: int, embedding_rms: float) -> None:
        super().__init__(config, hidden, embedding_rms)
        self.project_zeros = config.fusion.project_zeros

    def fuse_gaze(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Add gaze to the tokens that have a unit; all others stay as they are, unless zeros are projected."""
        return tokens.embeddings + self.project_on_tokens(gaze).to(tokens.embeddings.dtype)

    def project_on_tokens(self, gaze: GazeBatch) -> Tensor:
        """Return the projected measures of each token, [N, H].

        A token without any has zeros, or the projection of zeros (`fusion.project_zeros`), which is no zero: the
        projector has biases and ends in a LayerNorm.
        """
        # A batch without any unit still needs a row to look up.
        units = gaze.units if len(gaze.units) else gaze.units.new_zeros(1, gaze.units.shape[1])
        has_unit = (gaze.token_unit >= 0).unsqueeze(-1)
        on_token = units.index_select(0, gaze.token_unit.clamp(min=0)) * gaze.token_share.unsqueeze(-1)
        if self.project_zeros:
            return self.project_measures(on_token * has_unit)
        return self.project_measures(on_token) * has_unit
