"""The reward model: a backbone, a fusion and a score head, by composition.

tokens of the texts -> input embeddings of the backbone --+
+--> fusion -> backbone -> score head -> rewards
reading measures of their units of gaze ------------------+
"""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.gaze.measures import feature_columns
from gazetune.reward.layout.attention import SEGMENT_ATTENTION
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import PairBatch
from gazetune.reward.model.adapter import apply_adapter
from gazetune.reward.model.backbone import first_position
from gazetune.reward.model.fusion import GazeBatch, TokenBatch
from gazetune.reward.model.fusion_registry import create_fusion
from gazetune.reward.model.layout_choice import padded_layout
from gazetune.reward.model.precision import RewardHead, cast_parameters
from gazetune.reward.model.reference_tokens import AddedTokens
from gazetune.reward.model.sharding import full_shape, gathered_parameters


class GazeRewardModel(nn.Module):
    """A scalar reward of a conversation and the gaze on it.

    The adapter sits on the backbone only. The head always trains, and the fusion trains unless `fusion.freeze` is set.
    The head has no bias, since a preference pair gives it no gradient.
    """

    def __init__(self, config: Config, backbone: PreTrainedModel) -> None:
        super().__init__()
        hidden = int(backbone.config.get_text_config().hidden_size)
        embedding: Tensor = cast(nn.Embedding, backbone.get_input_embeddings()).weight
        with gathered_parameters(embedding):
            rms = _root_mean_square(embedding) * _embedding_factor(backbone)
        self.config = config
        self._first_position = first_position(backbone)
        self._takes_token_types = "token_type_ids" in inspect.signature(backbone.forward).parameters
        self._attention = backbone.config._attn_implementation
        self.feature_columns = feature_columns(config.gaze.features)
        # Each part draws from a seed of its own. Two runs that differ in one part therefore share the others' start.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.train.seed)
            self.head = RewardHead(hidden)
            torch.manual_seed(config.train.seed + 1)
            # Not `hidden`: the input embeddings of ALBERT and ELECTRA are narrower.
            self.fusion = create_fusion(config, full_shape(embedding)[1], rms)
            torch.manual_seed(config.train.seed + 2)
            # Any: the calls of transformers' models take keyword arguments that no type describes.
            self.backbone: Any = apply_adapter(backbone, config.adapter)
        self.added_tokens: AddedTokens | None = None
        if config.data.tokens == "reference":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.train.seed + 3)
                self.added_tokens = _create_added_tokens(backbone, full_shape(embedding))
            self.added_tokens.requires_grad_(not config.fusion.freeze)
            cast_parameters(self.added_tokens, embedding.dtype)
        head_std = config.train.head_std or hidden**-0.5
        nn.init.normal_(self.head.weight, std=head_std, generator=torch.Generator().manual_seed(config.train.seed))
        cast_parameters(self.fusion, embedding.dtype)
        self.layout = padded_layout(config, backbone)

    def cast_weights(self, dtype: torch.dtype) -> None:
        """Cast what computes before the head to `dtype`: its parameters. The head and all buffers stay float32."""
        for part in (self.backbone, self.fusion, self.added_tokens):
            if part is not None:
                cast_parameters(part, dtype)

    def use_layout(self, layout: BatchLayout) -> None:
        """Take batches of this layout from now on."""
        self.layout = layout
        attention = self._attention if layout.kind == "padded" else SEGMENT_ATTENTION
        self.bare_backbone().set_attn_implementation(attention)

    def forward(self, batch: PairBatch) -> Tensor:
        """Return rewards [S], float32 or wider: of the chosen texts of a batch, then of the rejected ones."""
        tokens = TokenBatch(self._embed_tokens(batch.input_ids))
        gaze = GazeBatch(
            batch.units[:, self.feature_columns],
            batch.token_unit,
            batch.token_share,
            batch.unit_number,
            batch.last_unit_number,
            batch.unit_segments,
        )
        rows = self.fusion(tokens, gaze)
        if batch.source_rows is not None:
            if batch.attention_mask is not None:  # one more row, which stands on padding
                rows = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
            rows = rows.index_select(0, batch.source_rows)
        states = self.backbone(
            inputs_embeds=rows.view(*batch.position_ids.shape, -1), **self._position_inputs(batch)
        ).last_hidden_state
        pooled = states.flatten(0, 1).index_select(0, batch.pool_index)
        return cast(Tensor, self.head(pooled)).squeeze(-1)

    def _embed_tokens(self, ids: Tensor) -> Tensor:
        """Return the input embeddings [N, H] of tokens [N]."""
        lookup = self.backbone.get_input_embeddings()
        if self.added_tokens is None:
            return cast(Tensor, lookup(ids))
        return cast(Tensor, self.added_tokens(ids, lookup(ids.clamp(max=self.added_tokens.vocabulary - 1))))

    def _position_inputs(self, batch: PairBatch) -> dict[str, object]:
        """Return what the backbone takes beside the embeddings."""
        inputs: dict[str, object] = {}
        if batch.attention_mask is not None:
            inputs["attention_mask"] = batch.attention_mask.long()
        else:
            inputs["segments"] = batch.segments
        if self.layout.causal:
            return {**inputs, "position_ids": batch.position_ids, "use_cache": False}
        if batch.attention_mask is None:
            # An encoder that counts positions itself would count through all texts.
            inputs["position_ids"] = batch.position_ids + self._first_position
            if self._takes_token_types:
                inputs["token_type_ids"] = torch.zeros_like(batch.position_ids)
        return inputs

    def set_gaze_statistics(self, mean: Tensor, sd: Tensor) -> None:
        """Standardise measures by the training split's mean [5] and sd [5], unless `gaze.normalise` is off."""
        if self.config.gaze.normalise:
            self.fusion.set_gaze_statistics(mean[self.feature_columns], sd[self.feature_columns])

    def release_backbone(self) -> PreTrainedModel:
        """Give the backbone back without its adapter, for the next model of a warm slot."""
        backbone = self.backbone.unload() if isinstance(self.backbone, PeftModel) else self.backbone
        backbone.set_attn_implementation(self._attention)
        return backbone

    def bare_backbone(self) -> PreTrainedModel:
        """Return the backbone as transformers knows it, without the adapter's wrapper."""
        bare = self.backbone.get_base_model() if isinstance(self.backbone, PeftModel) else self.backbone
        return cast(PreTrainedModel, bare)


def _create_added_tokens(backbone: PreTrainedModel, embedding: torch.Size) -> AddedTokens:
    """Return embeddings of tokens beyond the `embedding` [V, H] of the backbone, as transformers would draw them."""
    std = float(getattr(backbone.config.get_text_config(), "initializer_range", None) or 0.02)
    return AddedTokens(embedding[0], embedding[1], std)


def _embedding_factor(backbone: PreTrainedModel) -> float:
    """Return by how much larger the embeddings of tokens are than the weights they are looked up in (Gemma 3)."""
    lookup = cast(nn.Embedding, backbone.get_input_embeddings())
    some = torch.arange(min(64, lookup.weight.shape[0]), device=lookup.weight.device)
    with torch.no_grad():
        return _root_mean_square(lookup(some)) / _root_mean_square(lookup.weight[some])


def _root_mean_square(values: Tensor) -> float:
    return float(values.detach().float().pow(2).mean().sqrt())
