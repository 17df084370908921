"""The network of the predictor `roberta`: a RoBERTa with a linear layer, and how it reads a text.

The predictor computes it and `gazetune.gaze.fitting.roberta` trains it. Both read a text in the same way:

    words            eyes   rest    on   words
    tokens     <s>   eyes   re st   on   wor ds   </s>
    asked            *      *       *    *               the output at the first token of a word is the word's measures

A text of more than 512 tokens is read in windows of 512 tokens. Neighbouring windows share 50 tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, pre_tokenizers

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.networks.batches import pad_token_ids

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import RobertaConfig

TOKENIZER = "roberta-base"
WINDOW, OVERLAP = 512, 50
Architecture = dict[str, int | float | str]
"""The keys of a RoBERTa's `config.json` that decide the measures."""

ROBERTA_BASE: Architecture = {
    "vocab_size": 50265,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}
"""The architecture of roberta-base, where no config.json stands beside the weights."""

CONSTANT_KEYS = ("roberta.embeddings.position_ids", "roberta.embeddings.token_type_ids")
"""Counters, not weights: transformers wrote them into checkpoints before 4.31."""


def build_network(config: RobertaConfig, nested: bool = False) -> nn.ModuleDict:
    """Return the network with keys `roberta.*` and `decoder.*` (`decoder.0.*` if `nested`), weights yet to be filled.

    Parameters
    ----------
    config
        The encoder's architecture.
    nested
        Whether the output layer has the key of the first published file.
    """
    from torch import nn
    from transformers import RobertaModel

    decoder = nn.Linear(config.hidden_size, len(MEASURES))
    return nn.ModuleDict({"roberta": RobertaModel(config), "decoder": nn.Sequential(decoder) if nested else decoder})


def compute_token_outputs(network: nn.ModuleDict, pieces: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    """Return the network's output at each token, [B, T, 5], of sequences of token ids of at most T.

    Parameters
    ----------
    pad
        The id of the padding, which stands behind the shorter sequences; the outputs there mean nothing.
    """
    import torch

    device = next(network.parameters()).device
    ids = pad_token_ids(pieces, pad).to(device)
    lengths = torch.tensor([len(piece) for piece in pieces], device=device)
    positions = torch.arange(ids.shape[1], device=device)
    states = network["roberta"](
        input_ids=ids,
        attention_mask=(positions < lengths[:, None]).long(),
        position_ids=(positions + pad + 1).expand_as(ids),
    ).last_hidden_state
    return network["decoder"](states)


def read_architecture(file: Path) -> Architecture:
    """Return what of a RoBERTa's `config.json` decides the measures; roberta-base where it is silent or missing.

    Raises
    ------
    InputError
        If it cannot be read, or is the config of another kind of model.
    """
    if not file.is_file():
        return ROBERTA_BASE
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(given, Mapping) or given.get("model_type", "roberta") != "roberta":
        raise InputError(f"{file}: is no config of a RoBERTa (model_type: roberta)")
    return {key: given.get(key, value) for key, value in ROBERTA_BASE.items()}


def build_config(architecture: Architecture, file: Path) -> RobertaConfig:
    """Return the architecture, read from `file`, as transformers has it.

    Raises
    ------
    InputError
        If there can be no such network, or a window does not fit into it.
    """
    from transformers import RobertaConfig

    try:
        config = RobertaConfig.from_dict(architecture)
        room = config.max_position_embeddings - cast(int, config.pad_token_id) - 1
        rest = config.hidden_size % config.num_attention_heads
    except Exception as error:  # the validation of configs raises classes of its own
        raise InputError(f"{file}: is no config of a RoBERTa ({' '.join(str(error).split())})") from None
    if rest:
        raise InputError(
            f"{file}: num_attention_heads: {config.num_attention_heads}; "
            f"accepted: a divisor of hidden_size, {config.hidden_size}"
        )
    if room < WINDOW:
        raise InputError(f"{file}: max_position_embeddings: room for {room} tokens; accepted: {WINDOW} or more")
    return config


def put_space_before_words(tokenizer: Tokenizer, weights: Path) -> None:
    """Have the tokenizer of the `weights` read a word as it stands in a text: behind a space.

    Raises
    ------
    InputError
        If it is no byte-level BPE.
    """
    if not isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        raise InputError(f"{weights.parent / 'tokenizer.json'}: is no byte-level BPE as that of {TOKENIZER}")
    tokenizer.pre_tokenizer.add_prefix_space = True


def window_starts(tokens: int) -> list[int]:
    """Return where the windows over a text's tokens start. The last window may be shorter than the others.

    Examples
    --------
    >>> window_starts(512), window_starts(513)
    ([0], [0, 462])
    """
    if not tokens:
        return []
    return [0, *range(WINDOW - OVERLAP, tokens - OVERLAP, WINDOW - OVERLAP)]


def find_first_tokens(encoding: Encoding) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the words [words] of a text that have a token, and the position of each one's first token, [words]."""
    word_of_token = np.array([-1 if word is None else word for word in encoding.word_ids])
    words, first = np.unique(word_of_token, return_index=True)
    return words[words >= 0], first[words >= 0]
