"""The fusion `add`: gaze on a token is added to its embedding (GazeAdd, arXiv 2410.01532)."""

from __future__ import annotations

from torch import Tensor

from gazetune.reward.model.fusion import GazeBatch, ProjectedFusion, TokenBatch, register_fusion


@register_fusion("add")
class AddFusion(ProjectedFusion):
    """The measures that stand on a token are projected and added to its input embedding."""

    def fuse_gaze(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
        """Add gaze to the tokens that have a unit; all others stay as they are."""
        return tokens.embeddings + self.project_on_tokens(gaze).to(tokens.embeddings.dtype)

    def project_on_tokens(self, gaze: GazeBatch) -> Tensor:
        """Return the projected measures of each token, [N, H]; zeros where it has none."""
        # A batch without any unit still needs a row to look up.
        units = gaze.units if len(gaze.units) else gaze.units.new_zeros(1, gaze.units.shape[1])
        on_token = units.index_select(0, gaze.token_unit.clamp(min=0)) * gaze.token_share.unsqueeze(-1)
        return self.project_measures(on_token) * (gaze.token_unit >= 0).unsqueeze(-1)
