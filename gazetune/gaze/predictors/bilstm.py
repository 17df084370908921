"""The predictor `bilstm`: total reading time of each T5 token by a bidirectional LSTM.

The network of Huang & Hollenstein (2023) and its published weights, which are predictor 1 of GazeReward (Lopez-Cardona
et al., ICLR 2025, arXiv 2410.01532). It predicts TRT alone, as a level from 0 to 11 and not in the unit of `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from gazetune.config import MEASURES, Config
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.networks.batches import batch_by_length, pad_token_ids, pick_device, replace_surrogates
from gazetune.gaze.networks.weights import fill_module, find_weights, fingerprint_network, load_tokenizer, read_tensors
from gazetune.gaze.predictors.registry import gaze_predictor
from gazetune.gaze.words import word_spans

TOKENIZER = "t5-small"
VOCABULARY, WIDTH, HIDDEN = 32128, 512, 128
HIGHEST_LEVEL = 11.0
_TRT = MEASURES.index("TRT")


class BilstmPredictor:
    """TRT levels of T5 tokens; the other four measures are 0.

    A unit is a token of the predictor, `words` says which word it belongs to, and a word's level is the sum over its
    tokens. The end token that the network was trained with is computed, but it is no unit. As the reference has it,
    every token is one: the end token too, which belongs to no word, and stands behind the last character.

    Parameters
    ----------
    weights
        The weights file; a `tokenizer.json` beside it is used instead of the hub's.
    as_reference
        Whether every token is a unit.

    Raises
    ------
    InputError
        If the weights or the tokenizer cannot be read, or a key or shape is not that of this network.
    """

    takes_gpu = True
    """It computes on a GPU where the process has one."""

    def __init__(self, weights: Path, as_reference: bool = False) -> None:
        import torch
        from torch import nn

        tensors = read_tensors(weights)
        with torch.device("meta"):
            self._network = nn.ModuleDict(
                {
                    "emb": nn.Embedding(VOCABULARY, WIDTH),
                    "lstm": nn.LSTM(WIDTH, HIDDEN, num_layers=2, batch_first=True, bidirectional=True),
                    "head": nn.Sequential(nn.Linear(2 * HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)),
                }
            )
        fill_module(self._network, tensors, weights, "bilstm")
        self._tokenizer = load_tokenizer(weights, TOKENIZER, VOCABULARY)
        self._as_reference = as_reference
        settings = [self._tokenizer.to_str(), *(["every token"] if as_reference else [])]
        self._fingerprint = fingerprint_network("bilstm", weights, settings, version=1)
        self._device = pick_device()
        self._network.to(self._device)

    @property
    def fingerprint(self) -> str:
        """Name and hashes of weights and tokenizer; the trailing number counts versions of this code."""
        return self._fingerprint

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the TRT level (0 to 11) of each token of each text; a text does not see the others.

        Tokens of white space alone are no units, unless all are.
        """
        encodings = self._tokenizer.encode_batch([replace_surrogates(text) for text in texts])
        levels: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
        for batch in batch_by_length([len(encoding.ids) for encoding in encodings]):
            for index, row in zip(batch, self._predict_levels([encodings[index].ids for index in batch]), strict=True):
                levels[index] = row
        return [
            _collect_units(text, encoding, level, self._as_reference)
            for text, encoding, level in zip(texts, encodings, levels, strict=True)
        ]

    def _predict_levels(self, ids: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Return the levels of token sequences, the longest of which comes first."""
        import torch
        from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

        lengths = torch.tensor([len(sequence) for sequence in ids])
        # TF32, which cuDNN takes by itself, would make a level depend on the batch in its fourth digit.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            states = self._network["emb"](pad_token_ids(ids, 0).to(self._device))
            # Packed, the backward direction of a short text starts at its own end and not in the padding.
            packed, _ = self._network["lstm"](pack_padded_sequence(states, lengths, batch_first=True))
            output, _ = pad_packed_sequence(packed, batch_first=True)
            levels = self._network["head"](output)[:, :, 0].clamp(0.0, HIGHEST_LEVEL).cpu().numpy()
        return [row[: len(sequence)] for row, sequence in zip(levels, ids, strict=True)]


def _collect_units(text: str, encoding: Encoding, levels: NDArray[np.float32], every_token: bool) -> TextGaze:
    """Return the units of one text from its tokens and their levels [tokens]."""
    spans, kept = [], []
    for token, (start, end) in enumerate(encoding.offsets):
        piece = text[start:end]
        if piece.strip():  # the end token has no characters
            # A token that starts a word may have the space before it in its span.
            spans.append((end - len(piece.lstrip()), start + len(piece.rstrip())))
            kept.append(token)
        elif every_token:
            place = len(text) if encoding.word_ids[token] is None else end  # the end token has no place in the text
            spans.append((place, place))
            kept.append(token)
    # In order even where the tokenizer's Unicode normalisation swaps combining marks.
    array = np.maximum.accumulate(np.array(spans, dtype=np.int32).reshape(-1, 2), axis=0)
    values = np.zeros((len(kept), len(MEASURES)), dtype=np.float32)
    values[:, _TRT] = levels[kept]
    words = np.searchsorted(word_spans(text)[:, 0], array[:, 0], side="right") - 1
    if every_token:
        own = [each for each in encoding.word_ids if each is not None]
        words = np.array([max(own, default=-1) + 1 if each is None else each for each in encoding.word_ids])
    return TextGaze(array, values, words.astype(np.int32))


@gaze_predictor("bilstm", measures=("TRT",), units="token")
def create_bilstm(config: Config) -> BilstmPredictor:
    """Build the predictor from `gaze.path`: the weights file, its folder, or a hub id."""
    return BilstmPredictor(find_weights(config), as_reference=config.gaze.predictor_units == "reference")
