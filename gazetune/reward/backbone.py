"""Backbones and their tokenizers: `tiny`, a local folder, or a hub id; any decoder or encoder that `AutoModel` loads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from gazetune.errors import InputError
from gazetune.reward.tiny import tiny_backbone, tiny_tokenizer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def load_tokenizer(backbone: str, training_texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return the fast tokenizer of `backbone`; the tiny one is trained on `training_texts`.

    Raises
    ------
    InputError
        When there is no such tokenizer, it is not a fast one, or it has no chat template.
    """
    if backbone == "tiny":
        return tiny_tokenizer(training_texts)
    try:
        tokenizer = AutoTokenizer.from_pretrained(backbone)
    except (OSError, ValueError) as error:
        raise _cannot_load(backbone, "tokenizer", error) from error
    if not tokenizer.is_fast:
        raise InputError(f"backbone '{backbone}': its tokenizer has no character offsets; a fast tokenizer is needed")
    if not tokenizer.chat_template:
        raise InputError(
            f"backbone '{backbone}': its tokenizer has no chat template; put a chat_template.jinja into its folder"
        )
    if tokenizer.pad_token is None:
        # Padding is masked everywhere, so any existing id will do and the embedding need not grow.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_backbone(backbone: str, dtype: torch.dtype) -> PreTrainedModel:
    """Return the backbone without a head, in `dtype`, on the CPU."""
    if backbone == "tiny":
        return tiny_backbone().to(dtype)
    try:
        return AutoModel.from_pretrained(backbone, dtype=dtype)
    except (OSError, ValueError) as error:
        raise _cannot_load(backbone, "model", error) from error


def context_length(backbone: str) -> int | None:
    """Return the most positions the backbone can take, or None when its config sets no limit."""
    if backbone == "tiny":
        return int(tiny_backbone().config.max_position_embeddings)
    try:
        config = AutoConfig.from_pretrained(backbone)
    except (OSError, ValueError) as error:
        raise _cannot_load(backbone, "config", error) from error
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(limit) if limit else None


def reads_both_ways(model: PreTrainedModel) -> bool:
    """Tell whether the backbone is an encoder, whose first token sees the whole text."""
    return not getattr(model.config, "is_decoder", False) and model.config.model_type in _ENCODERS


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a hash of everything that turns a conversation into token ids."""
    content = tokenizer.backend_tokenizer.to_str() + str(tokenizer.chat_template)
    return hashlib.sha256(content.encode()).hexdigest()


_ENCODERS = frozenset(
    ["albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta",
     "xlm-roberta"]
)


def _cannot_load(backbone: str, part: str, error: Exception) -> InputError:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(
        f"backbone: cannot load the {part} of '{backbone}' ({first_line}); accepted: tiny, a local folder, a hub id"
    )
