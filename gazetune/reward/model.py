"""The reward model: a backbone, a fusion and a score head beside it, by composition."""

from __future__ import annotations

from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.gaze.measures import feature_columns
from gazetune.reward.adapter import adapt
from gazetune.reward.backbone import reads_both_ways
from gazetune.reward.batching import PairBatch
from gazetune.reward.fusion import GazeBatch, TokenBatch, create_fusion


class GazeRewardModel(nn.Module):
    """A scalar reward of a conversation and the gaze on it.

    The adapter sits on the backbone only; fusion and head always train. The score head has no bias, since a preference
    pair gives it no gradient.
    """

    def __init__(self, config: Config, backbone: PreTrainedModel) -> None:
        super().__init__()
        hidden = int(backbone.config.get_text_config().hidden_size)
        embedding: Tensor = cast(nn.Embedding, backbone.get_input_embeddings()).weight
        rms = float(embedding.detach().float().pow(2).mean().sqrt())
        self.config = config
        self.pools_first = reads_both_ways(backbone)
        self.columns = feature_columns(config.gaze.features)
        # Each part draws from a seed of its own, so that two runs that differ in one part share the others' start.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.train.seed)
            self.head = nn.Linear(hidden, 1, bias=False)
            torch.manual_seed(config.train.seed + 1)
            # Not `hidden`: the input embeddings of ALBERT and ELECTRA are narrower.
            self.fusion = create_fusion(config, embedding.shape[1], rms)
            torch.manual_seed(config.train.seed + 2)
            self.backbone: Any = adapt(backbone, config.adapter)
        nn.init.normal_(self.head.weight, std=hidden**-0.5, generator=torch.Generator().manual_seed(config.train.seed))
        self.fusion.to(embedding.dtype)
        self.head.to(embedding.dtype)

    def forward(self, batch: PairBatch) -> Tensor:
        """Rewards [B] in float32 of the B conversations of a batch."""
        tokens = TokenBatch(self.backbone.get_input_embeddings()(batch.input_ids), batch.mask)
        gaze = GazeBatch(batch.units[..., self.columns], batch.unit_mask, batch.token_unit, batch.token_share)
        fused = self.fusion(tokens, gaze)
        inputs = {"inputs_embeds": fused.embeddings, "attention_mask": fused.mask.long()}
        if not self.pools_first:
            inputs["position_ids"] = fused.positions
            inputs["use_cache"] = False
        states = self.backbone(**inputs).last_hidden_state
        pool = torch.zeros_like(fused.pool) if self.pools_first else fused.pool
        pooled = states[torch.arange(len(pool), device=pool.device), pool]
        return self.head(pooled).squeeze(-1).float()

    def set_gaze_statistics(self, mean: Tensor, sd: Tensor) -> None:
        """Set the training split's mean [5] and standard deviation [5] by which measures are standardised."""
        self.fusion.standardise_by(mean[self.columns], sd[self.columns])

    def release_backbone(self) -> PreTrainedModel:
        """Give the backbone back without its adapter, for the next model of a warm slot."""
        if isinstance(self.backbone, PeftModel):
            return self.backbone.unload()
        return self.backbone
