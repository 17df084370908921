"""Whether a run's backbone can be trained: asked once, from headers and small files, before anything is prepared."""

from __future__ import annotations

import inspect
import logging

from torch import nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.model.adapter import LOW_RANK_KINDS, name_targets
from gazetune.reward.model.backbone import empty_backbone, load_tokenizer
from gazetune.reward.model.checks.tokenizer import warn_of_other_special_tokens
from gazetune.reward.model.checks.weights import check_weights
from gazetune.reward.model.layout_choice import padded_layout

_LOG = logging.getLogger(__name__)


def check_backbone(config: Config) -> Config:
    """Check weights, tokenizer and adapter targets of a run's backbone; no weight is read.

    Returns
    -------
    Config
        The config with the names that `adapter.targets: auto` stands for.

    Raises
    ------
    InputError
        When there is no such backbone or it is of a kind that cannot be trained; its weights are not those of its
        config, or are quantised; its tokenizer is damaged, not its own, or has no chat template; a file is a Git LFS
        pointer; a target of the adapter names no linear layer; or a key asks of an encoder what only a decoder can do.
    """
    model = empty_backbone(config.backbone)
    if config.backbone == "tiny":
        load_tokenizer("tiny", [], config.data.tokens, config.data.chat_template)
    else:
        _check_kind(config.backbone, model)
        check_weights(config.backbone, model)
        tokenizer = load_tokenizer(config.backbone, [], config.data.tokens, config.data.chat_template)
        warn_of_other_special_tokens(config.backbone, tokenizer, model.config)
    padded_layout(config, model)  # refuses what only a decoder can do
    named = name_targets(config, model)
    if config.adapter.kind in LOW_RANK_KINDS and config.adapter.targets == "auto":
        _LOG.info("adapter.targets: auto takes %s of %s", ", ".join(named.adapter.targets), type(model).__name__)
    return named


def _check_kind(backbone: str, model: PreTrainedModel) -> None:
    """Refuse a model that does not turn embeddings of one text into one state for each."""
    reason = None
    if getattr(model.config, "is_encoder_decoder", False):
        reason = "has an encoder and a decoder"
    elif not isinstance(model.get_input_embeddings(), nn.Embedding):
        reason = "has no embedding of tokens"
    elif "inputs_embeds" not in inspect.signature(model.forward).parameters:
        reason = "takes no inputs_embeds"
    if reason is not None:
        raise InputError(
            f"backbone '{backbone}': {type(model).__name__} {reason}; accepted: an encoder or a decoder of text that "
            "takes inputs_embeds"
        )
