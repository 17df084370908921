"""The predictor `roberta`: all five measures of a word, read from RoBERTa at the word's first token.

The network of Li & Rudzicz (TorontoCL, CMCL 2021), which is predictor 2 of GazeReward (Lopez-Cardona et al., ICLR 2025,
arXiv 2410.01532); a retrained release is `skboy/et_prediction_2` on the hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, pre_tokenizers

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.published import (
    fill_module,
    find_weights,
    fingerprint_of,
    length_batches,
    load_tokenizer,
    padded,
    pick_device,
    read_tensors,
    readable,
)
from gazetune.gaze.registry import gaze_predictor
from gazetune.gaze.words import word_spans

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import RobertaConfig

TOKENIZER = "roberta-base"
WINDOW, OVERLAP = 512, 50
ROBERTA_BASE: dict[str, Any] = {
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


class RobertaPredictor:
    """All five measures of each word, from 0 to 100.

    The network was trained to predict at the first token of a word and says nothing at the others, so a unit stands
    for a word's first token. Its span is the whole word, since the measures are the word's: `gaze.align` then decides
    whether the backbone's first token of the word has them or all share them. As in training, words are given to the
    tokenizer one by one with a space before each; a text of more than 512 tokens is read in windows of 512 that
    overlap by 50 tokens.

    Parameters
    ----------
    weights
        The weights file. `tokenizer.json` and `config.json` beside it are used instead of those of roberta-base.

    Raises
    ------
    InputError
        If the weights, tokenizer or config cannot be read, or a key or shape is not that of this network.
    """

    takes_gpu = True
    """It computes on a GPU where the process has one."""

    def __init__(self, weights: Path) -> None:
        import torch

        architecture = read_architecture(weights.parent / "config.json")
        config = roberta_config(architecture, weights.parent / "config.json")
        tensors = {name: tensor for name, tensor in read_tensors(weights).items() if name not in CONSTANT_KEYS}
        with torch.device("meta"):
            # The published file names the output layer decoder.0, its retrained release decoder.
            network = roberta_network(config, nested=any(name.startswith("decoder.0.") for name in tensors))
        fill_module(network, tensors, weights, "roberta")
        _leave_meta(network["roberta"])
        self._tokenizer = load_tokenizer(weights, TOKENIZER, config.vocab_size)
        put_space_before_words(self._tokenizer, weights)
        settings = [self._tokenizer.to_str(), json.dumps(architecture, sort_keys=True)]
        self._fingerprint = fingerprint_of("roberta", weights, settings, version=1)
        self._pad = int(architecture["pad_token_id"])
        self._network = network.to(pick_device())

    @property
    def fingerprint(self) -> str:
        """Name and hashes of weights, tokenizer and config; the trailing number counts versions of this code."""
        return self._fingerprint

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the measures of each word of each text; a text does not see the others."""
        spans = [word_spans(text) for text in texts]
        words = [[readable(text[start:end]) for start, end in its] for text, its in zip(texts, spans, strict=True)]
        encodings = self._tokenizer.encode_batch(words, is_pretokenized=True)
        windows = [
            (index, start)
            for index in range(len(texts))
            if words[index]
            for start in window_starts(len(encodings[index].ids))
        ]
        pieces = [encodings[index].ids[start : start + WINDOW] for index, start in windows]
        outputs: list[NDArray[np.float32]] = [np.zeros((0, len(MEASURES)), np.float32)] * len(pieces)
        for batch in length_batches([len(piece) for piece in pieces]):
            for place, output in zip(batch, self._outputs([pieces[place] for place in batch]), strict=True):
                outputs[place] = output
        of_text: list[list[NDArray[np.float32]]] = [[] for _ in texts]
        for (index, _), output in zip(windows, outputs, strict=True):
            of_text[index].append(output)
        return [_text_gaze(*each) for each in zip(spans, encodings, of_text, strict=True)]

    def _outputs(self, pieces: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Return [tokens, 5] for each sequence of token ids."""
        import torch

        with torch.inference_mode():
            outputs = token_outputs(self._network, pieces, self._pad).cpu().numpy()
        return [output[: len(piece)] for output, piece in zip(outputs, pieces, strict=True)]


def roberta_network(config: RobertaConfig, nested: bool = False) -> nn.ModuleDict:
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


def token_outputs(network: nn.ModuleDict, pieces: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    """Return what the network says at each token, [B, T, 5], of sequences of token ids of at most T.

    Parameters
    ----------
    pad
        The id of the padding, which stands behind the shorter sequences; what is said there means nothing.
    """
    import torch

    device = next(network.parameters()).device
    ids = padded(pieces, pad).to(device)
    lengths = torch.tensor([len(piece) for piece in pieces], device=device)
    places = torch.arange(ids.shape[1], device=device)
    states = network["roberta"](
        input_ids=ids,
        attention_mask=(places < lengths[:, None]).long(),
        position_ids=(places + pad + 1).expand_as(ids),
    ).last_hidden_state
    return network["decoder"](states)


def read_architecture(file: Path) -> dict[str, Any]:
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


def roberta_config(architecture: dict[str, Any], file: Path) -> RobertaConfig:
    """Return the architecture, read from `file`, as transformers has it.

    Raises
    ------
    InputError
        If there can be no such network, or a window does not fit into it.
    """
    from transformers import RobertaConfig

    try:
        config: Any = RobertaConfig.from_dict(architecture)
        room = config.max_position_embeddings - config.pad_token_id - 1
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


def _leave_meta(roberta: Any) -> None:
    """Make the encoder's counters, which no checkpoint has, and drop its pooler, which is never asked."""
    import torch

    places = torch.arange(roberta.embeddings.position_ids.shape[1])[None]
    roberta.embeddings.position_ids, roberta.embeddings.token_type_ids = places, torch.zeros_like(places)
    roberta.pooler = None


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
    """Return where the windows over a text's tokens start; the last one may be shorter than the others."""
    if not tokens:
        return []
    return [0, *range(WINDOW - OVERLAP, tokens - OVERLAP, WINDOW - OVERLAP)]


def blend_windows(outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return [tokens, 5] from the outputs of windows of which each shares its first 50 tokens with the one before.

    Over the shared tokens the weight of the later window grows as 1/51, 2/51, ... 50/51, as published.
    """
    blended = outputs[0]
    weight = (np.arange(1, OVERLAP + 1, dtype=np.float32) / (OVERLAP + 1))[:, None]
    for output in outputs[1:]:
        shared = (1 - weight) * blended[-OVERLAP:] + weight * output[:OVERLAP]
        blended = np.concatenate([blended[:-OVERLAP], shared, output[OVERLAP:]])
    return blended


def first_tokens(encoding: Encoding) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the words [words] of a text that have a token, and the place of the first one of each, [words]."""
    word_of_token = np.array([-1 if word is None else word for word in encoding.word_ids])
    words, first = np.unique(word_of_token, return_index=True)
    return words[words >= 0], first[words >= 0]


def _text_gaze(spans: NDArray[np.int32], encoding: Encoding, outputs: Sequence[NDArray[np.float32]]) -> TextGaze:
    """Return one text's units from the outputs of its windows."""
    if not outputs:
        return TextGaze(spans, np.zeros((0, len(MEASURES)), np.float32), np.zeros(0, np.int32))
    words, first = first_tokens(encoding)
    values = np.clip(blend_windows(outputs)[first], 0.0, 100.0)
    return TextGaze(spans[words], values, words.astype(np.int32))


@gaze_predictor("roberta")
def create_roberta(config: Config) -> RobertaPredictor:
    """Build the predictor from `gaze.path`: the weights file, its folder, or a hub id."""
    return RobertaPredictor(find_weights(config))
