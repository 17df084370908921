"""Backbones and their tokenizers: `tiny`, a local folder, or a hub id; decoders and encoders that `AutoModel` loads."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from gazetune.errors import InputError
from gazetune.reward.templates import sibling_template
from gazetune.reward.tiny import POSITIONS, tiny_backbone, tiny_tokenizer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

_ENCODERS = frozenset(
    [
        "albert",
        "bert",
        "camembert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    ]
)
_POSITIONS_AFTER_PADDING = frozenset(["camembert", "mpnet", "roberta", "xlm-roberta"])
"""Models whose first token has the position after `pad_token_id`, so that they take fewer tokens than positions."""


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
        # Said aloud, or transformers would ask on a terminal whether to run code that came with the weights.
        tokenizer = AutoTokenizer.from_pretrained(backbone, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _cannot_load(backbone, "tokenizer", error) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InputError(f"backbone '{backbone}': its tokenizer has no character offsets; a fast tokenizer is needed")
    tokenizer.chat_template = tokenizer.chat_template or sibling_template(tokenizer)
    if not tokenizer.chat_template:
        raise InputError(
            f"backbone '{backbone}': its tokenizer has no chat template; put a chat_template.jinja into its folder"
        )
    if tokenizer.pad_token is None:
        # Padding is masked everywhere, so any existing id will do and the embedding need not grow.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def load_backbone(backbone: str, dtype: torch.dtype) -> PreTrainedModel:
    """Return the backbone without a head, in `dtype`, on the CPU."""
    if backbone == "tiny":
        return tiny_backbone().to(dtype)  # type: ignore[arg-type]  # transformers wraps `to` without its signature
    try:
        model = AutoModel.from_pretrained(backbone, dtype=dtype, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _cannot_load(backbone, "model", error) from error
    if reads_both_ways(model) and getattr(model, "pooler", None) is not None:
        # The head reads the first token itself; weights behind it would wait for a gradient that never comes.
        model.pooler = None
    return model


def context_length(backbone: str) -> int | None:
    """Return the most tokens the backbone can take, or None when its config sets no limit."""
    if backbone == "tiny":
        return POSITIONS
    try:
        config = AutoConfig.from_pretrained(backbone, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _cannot_load(backbone, "config", error) from error
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    if not limit:
        return None
    return int(limit) - (config.pad_token_id + 1 if config.model_type in _POSITIONS_AFTER_PADDING else 0)


def reads_both_ways(model: PreTrainedModel) -> bool:
    """Tell whether the backbone is an encoder, whose first token sees the whole text."""
    return not getattr(model.config, "is_decoder", False) and model.config.model_type in _ENCODERS


def _cannot_load(backbone: str, part: str, error: Exception) -> InputError:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(
        f"backbone: cannot load the {part} of '{backbone}' ({first_line}); accepted: tiny, a local folder, a hub id"
    )
