"""A model without gaze as a plain sequence-classification model, which transformers loads without gazetune."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from torch import nn
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.portable import refuse_taken_folder
from gazetune.reward.saved.saved_model import (
    CARD,
    CONFIG,
    load_reward_model,
    load_saved_tokenizer,
    read_saved_config,
    replace_saved_folder,
)

PADDING = "<|pad|>"


def export_classifier(folder: Path, out: Path, card: str) -> None:
    """Write the model saved in `folder` to `out`: weights with the adapter merged, tokenizer, and the model card.

    Raises
    ------
    InputError
        When `out` is taken, `folder` is no whole saved model, or transformers has no model that gives its rewards.
    SaveFailed
        When the disk is full.
    """
    refuse_taken_folder(out)
    classifier, tokenizer = build_classifier(folder)
    with replace_saved_folder(out) as partial:
        classifier.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / CARD).write_text(card, encoding="utf-8")


def build_classifier(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return a saved model without gaze as `AutoModelForSequenceClassification` knows it, and its tokenizer.

    The rewards are the logits [n, 1] of right-padded texts.

    Raises
    ------
    InputError
        As `export_classifier`.
    """
    config = read_saved_config(folder)
    _check_exportable(config, folder / CONFIG)
    tokenizer = load_saved_tokenizer(folder)
    model = load_reward_model(folder, config=config)
    classifier = _attach_head(model, folder / CONFIG)
    _set_padding(classifier, tokenizer)
    return classifier.eval(), tokenizer


def _check_exportable(config: Config, file: Path) -> None:
    refusals = {
        "fusion.kind": (config.fusion.kind, "none", "a plain sequence-classification model sees no gaze"),
        "adapter.quantization": (config.adapter.quantization, "none", "merged into 4 bits the rewards would change"),
        "data.tokens": (config.data.tokens, "template", "the backbone has no embeddings of the tokens that are added"),
        "train.pool": (config.train.pool, "last", "transformers reads the reward at the last token of a text"),
    }
    for key, (value, accepted, reason) in refusals.items():
        if value != accepted:
            raise InputError(f"{file}: {key}: '{value}' cannot be exported: {reason}; accepted: {accepted}")


def _attach_head(model: GazeRewardModel, file: Path) -> PreTrainedModel:
    """Put backbone and head into the class that transformers has for them, if that has a linear head and no more."""
    backbone = model.bare_backbone()
    kind: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(backbone.config), None)
    refusal = InputError(
        f"{file}: backbone '{model.config.backbone}' cannot be exported: transformers has no sequence classification "
        f"of the architecture {backbone.config.model_type} with one linear layer, without bias, at the last token"
    )
    if kind is None:
        raise refusal
    settings = copy.deepcopy(backbone.config)
    settings.num_labels = 1
    settings.problem_type = "regression"  # or transformers' pipeline would give the sigmoid of the reward
    with torch.device("meta"):
        classifier = cast(PreTrainedModel, kind(settings))
    prefix = classifier.base_model_prefix
    score = getattr(classifier, "score", None)
    plain = isinstance(score, nn.Linear) and score.bias is None and score.weight.shape == model.head.weight.shape
    if (
        score is None
        or not plain
        or not model.layout.causal
        or type(getattr(classifier, prefix, None)) is not type(backbone)
    ):
        raise refusal
    merged = model.backbone.merge_and_unload() if isinstance(model.backbone, PeftModel) else backbone
    setattr(classifier, prefix, merged)
    score.weight = model.head.weight
    if any(weight.is_meta for weight in classifier.parameters()):
        raise refusal
    return classifier


def _set_padding(classifier: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let padding be a token that ends no chat: transformers reads the reward at the last token that is no padding."""
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}]
    last = tokenizer.apply_chat_template(chat, return_dict=False)[-1]
    if tokenizer.pad_token_id in (None, last):
        if tokenizer.unk_token_id in (None, last):
            tokenizer.add_special_tokens({"pad_token": PADDING})
        else:
            tokenizer.pad_token = tokenizer.unk_token
    tokenizer.padding_side = "right"
    # Of a plain fast tokenizer these would have token types, which decoders know nothing of.
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    rows = cast(nn.Embedding, classifier.get_input_embeddings()).weight.shape[0]
    if tokenizer.pad_token_id >= rows:
        classifier.resize_token_embeddings(tokenizer.pad_token_id + 1, mean_resizing=False)
    classifier.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    classifier.config.pad_token_id = tokenizer.pad_token_id
