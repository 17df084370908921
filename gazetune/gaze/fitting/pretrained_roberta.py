"""The RoBERTa that a fit begins with: a language model, an encoder alone, or a predictor that was fitted before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from gazetune.errors import InputError
from gazetune.gaze.networks.roberta import (
    CONSTANT_KEYS,
    TOKENIZER,
    build_config,
    build_network,
    put_space_before_words,
    read_architecture,
)
from gazetune.gaze.networks.weights import (
    FILES_BESIDE_WEIGHTS,
    fill_module,
    load_tokenizer,
    locate_weights,
    read_tensors,
)

DECODER = ("decoder.weight", "decoder.bias")
"""Keys of the predictor's output layer."""

_POOLER = ("roberta.pooler.dense.weight", "roberta.pooler.dense.bias")
_PARTS = ("embeddings.", "encoder.", "pooler.")


@dataclass(frozen=True, slots=True)
class PretrainedRoberta:
    """A RoBERTa to begin with."""

    weights: Path
    architecture: dict[str, Any]
    network: nn.ModuleDict
    tokenizer: Tokenizer
    fitted: bool
    """Whether it predicts measures already. Otherwise its output layer is drawn anew."""


def read_pretrained_roberta(name: str) -> PretrainedRoberta:
    """Read the RoBERTa to begin with.

    Heads of other tasks are left out. The pooler may be missing, because the predictor does not use it.

    Raises
    ------
    InputError
        If it is not there, has no config.json or tokenizer.json beside it, or cannot be read as a RoBERTa.
    """
    weights = locate_weights(name, "--base")
    for file in FILES_BESIDE_WEIGHTS:
        if not (weights.parent / file).is_file():
            raise InputError(
                f"--base: no {file} beside {weights}; accepted: weights with {' and '.join(FILES_BESIDE_WEIGHTS)}"
            )
    architecture = read_architecture(weights.parent / "config.json")
    config = build_config(architecture, weights.parent / "config.json")
    tokenizer = load_tokenizer(weights, TOKENIZER, config.vocab_size)
    put_space_before_words(tokenizer, weights)
    given = _of_encoder_and_decoder(read_tensors(weights))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(config)
    drawn = {name: tensor for name, tensor in network.state_dict().items() if name in (*DECODER, *_POOLER)}
    fill_module(network, drawn | given, weights, "roberta")
    return PretrainedRoberta(weights, architecture, network, tokenizer, fitted=all(key in given for key in DECODER))


def _of_encoder_and_decoder(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of the encoder and of an output layer for measures, by the predictor's keys.

    A language model's checkpoint has `roberta.*` and a head; an encoder's has the same keys without `roberta.`.
    """
    bare = not any(name.startswith("roberta.") for name in tensors)
    named = {
        f"roberta.{name}" if bare and name.startswith(_PARTS) else name.replace("decoder.0.", "decoder."): tensor
        for name, tensor in tensors.items()
    }
    return {
        name: tensor
        for name, tensor in named.items()
        if (name.startswith("roberta.") and name not in CONSTANT_KEYS) or name in DECODER
    }
