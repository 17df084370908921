"""The predictor `roberta`: all five measures of a word, read from RoBERTa at the word's first token.

The network of Li & Rudzicz (TorontoCL, CMCL 2021), which is predictor 2 of GazeReward (Lopez-Cardona et al., ICLR 2025,
arXiv 2410.01532); a retrained release is `skboy/et_prediction_2` on the hub.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from gazetune.config import MEASURES, Config
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.networks.batches import batch_by_length, pick_device, replace_surrogates
from gazetune.gaze.networks.roberta import (
    CONSTANT_KEYS,
    OVERLAP,
    TOKENIZER,
    WINDOW,
    build_config,
    build_network,
    compute_token_outputs,
    find_first_tokens,
    put_space_before_words,
    read_architecture,
    window_starts,
)
from gazetune.gaze.networks.weights import fill_module, find_weights, fingerprint_network, load_tokenizer, read_tensors
from gazetune.gaze.predictors.registry import gaze_predictor
from gazetune.gaze.words import word_spans


class RobertaPredictor:
    """All five measures of each word, from 0 to 100.

    The network was trained to predict at the first token of a word and says nothing at the others, so a unit stands
    for a word's first token. Its span is the whole word, since the measures are the word's: `gaze.align` then decides
    whether the backbone's first token of the word has them or all share them. As in training, words are given to the
    tokenizer one by one with a space before each; a text of more than 512 tokens is read in windows of 512 that
    overlap by 50 tokens.

    As the reference has it, units are the tokens of the text, read as one: the first token of each piece that the
    tokenizer makes before it merges letters (a word, a run of punctuation, of digits, of white space) has what the
    network says there, whatever the number; the others, and the two around the text, have zeros. `words` then counts
    those pieces.

    Parameters
    ----------
    weights
        The weights file. `tokenizer.json` and `config.json` beside it are used instead of those of roberta-base.
    as_reference
        Whether every token is a unit.

    Raises
    ------
    InputError
        If the weights, tokenizer or config cannot be read, or a key or shape is not that of this network.
    """

    takes_gpu = True
    """It computes on a GPU where the process has one."""

    def __init__(self, weights: Path, as_reference: bool = False) -> None:
        import torch

        architecture = read_architecture(weights.parent / "config.json")
        config = build_config(architecture, weights.parent / "config.json")
        tensors = {name: tensor for name, tensor in read_tensors(weights).items() if name not in CONSTANT_KEYS}
        with torch.device("meta"):
            # The published file names the output layer decoder.0, its retrained release decoder.
            network = build_network(config, nested=any(name.startswith("decoder.0.") for name in tensors))
        fill_module(network, tensors, weights, "roberta")
        _complete_encoder(network["roberta"])
        self._tokenizer = load_tokenizer(weights, TOKENIZER, config.vocab_size)
        put_space_before_words(self._tokenizer, weights)
        self.unclipped = as_reference
        settings = [self._tokenizer.to_str(), json.dumps(architecture, sort_keys=True)]
        settings += ["every token"] if as_reference else []
        self._fingerprint = fingerprint_network("roberta", weights, settings, version=1)
        self._pad = int(architecture["pad_token_id"])
        self._network = network.to(pick_device())

    @property
    def fingerprint(self) -> str:
        """Name and hashes of weights, tokenizer and config; the trailing number counts versions of this code."""
        return self._fingerprint

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the measures of each word of each text; a text does not see the others."""
        spans = [word_spans(text) for text in texts]
        words = [
            [replace_surrogates(text[start:end]) for start, end in its] for text, its in zip(texts, spans, strict=True)
        ]
        if self.unclipped:
            encodings = self._tokenizer.encode_batch([replace_surrogates(text) for text in texts])
        else:
            encodings = self._tokenizer.encode_batch(words, is_pretokenized=True)
        windows = [
            (index, start)
            for index in range(len(texts))
            if words[index] or self.unclipped
            for start in window_starts(len(encodings[index].ids))
        ]
        pieces = [encodings[index].ids[start : start + WINDOW] for index, start in windows]
        outputs: list[NDArray[np.float32]] = [np.zeros((0, len(MEASURES)), np.float32)] * len(pieces)
        for batch in batch_by_length([len(piece) for piece in pieces]):
            for index, output in zip(batch, self._compute_outputs([pieces[index] for index in batch]), strict=True):
                outputs[index] = output
        of_text: list[list[NDArray[np.float32]]] = [[] for _ in texts]
        for (index, _), output in zip(windows, outputs, strict=True):
            of_text[index].append(output)
        if self.unclipped:
            return [_collect_tokens(*each) for each in zip(texts, encodings, of_text, strict=True)]
        return [_collect_units(*each) for each in zip(spans, encodings, of_text, strict=True)]

    def _compute_outputs(self, pieces: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Return [tokens, 5] for each sequence of token ids."""
        import torch

        with torch.inference_mode():
            outputs = compute_token_outputs(self._network, pieces, self._pad).cpu().numpy()
        return [output[: len(piece)] for output, piece in zip(outputs, pieces, strict=True)]


def _complete_encoder(roberta: Any) -> None:
    """Make the encoder's position counters, which no checkpoint has, and drop its pooler, which is not used."""
    import torch

    positions = torch.arange(roberta.embeddings.position_ids.shape[1])[None]
    roberta.embeddings.position_ids, roberta.embeddings.token_type_ids = positions, torch.zeros_like(positions)
    roberta.pooler = None


def _blend_windows(outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return [tokens, 5] from the outputs of windows of which each shares its first 50 tokens with the one before.

    Over the shared tokens the weight of the later window grows as 1/51, 2/51, ... 50/51, as published.
    """
    blended = outputs[0]
    weight = (np.arange(1, OVERLAP + 1, dtype=np.float32) / (OVERLAP + 1))[:, None]
    for output in outputs[1:]:
        shared = (1 - weight) * blended[-OVERLAP:] + weight * output[:OVERLAP]
        blended = np.concatenate([blended[:-OVERLAP], shared, output[OVERLAP:]])
    return blended


def _collect_units(spans: NDArray[np.int32], encoding: Encoding, outputs: Sequence[NDArray[np.float32]]) -> TextGaze:
    """Return one text's units from the outputs of its windows."""
    if not outputs:
        return TextGaze(spans, np.zeros((0, len(MEASURES)), np.float32), np.zeros(0, np.int32))
    words, first = find_first_tokens(encoding)
    values = np.clip(_blend_windows(outputs)[first], 0.0, 100.0)
    return TextGaze(spans[words], values, words.astype(np.int32))


def _collect_tokens(text: str, encoding: Encoding, outputs: Sequence[NDArray[np.float32]]) -> TextGaze:
    """Return every token of a text as a unit: what the network says at the first one of each piece, zeros elsewhere."""
    pieces, first = find_first_tokens(encoding)
    values = np.zeros((len(encoding.ids), len(MEASURES)), dtype=np.float32)
    values[first] = _blend_windows(outputs)[first]
    # The tokens around the text have no place in it; each counts as a piece.
    piece = np.array([-1 if each is None else each for each in encoding.word_ids], dtype=np.int32)
    around = np.flatnonzero(piece < 0)
    places = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
    places[around] = np.where(around == 0, 0, len(text))[:, None]
    piece[around] = np.where(around == 0, -1, len(pieces))
    # In order even where the bytes of one character are several tokens.
    return TextGaze(np.maximum.accumulate(places, axis=0), values, piece + 1)


@gaze_predictor("roberta")
def create_roberta(config: Config) -> RobertaPredictor:
    """Build the predictor from `gaze.path`: the weights file, its folder, or a hub id."""
    return RobertaPredictor(find_weights(config), as_reference=config.gaze.predictor_units == "reference")
