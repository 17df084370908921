"""The predictor `lexical`: measures from the form of a word and its neighbours, with no download and no torch.

A few small networks whose outputs are averaged, fitted by `gazetune.gaze.fitting`; `lexical.md` is their card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.lexical_features import FEATURES, feature_rows, word_table
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.registry import gaze_predictor

SHIPPED_WEIGHTS = Path(__file__).with_suffix(".safetensors")
"""The weights that come with the package."""

TENSORS = ("input_mean", "input_scale", "w1", "b1", "w2", "b2", "w3", "b3")
"""Names in a weights file: w1 [members, FEATURES, hidden], w2 [members, hidden, hidden], w3 [members, hidden, 5]."""

_ROWS = 8192  # words of one matrix product: bounds the memory whatever the number of texts


def respect_order(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return measures [words, 5] within 0..100 and with FFD <= GPT and FFD <= TRT, as real ones are."""
    values = np.clip(values, 0.0, 100.0)
    ffd = values[:, MEASURES.index("FFD")]
    for longer in ("GPT", "TRT"):
        column = MEASURES.index(longer)
        values[:, column] = np.maximum(values[:, column], ffd)
    return values.astype(np.float32)


class LexicalPredictor:
    """Measures of any text from a weights file.

    Raises
    ------
    InputError
        If the file cannot be read or its tensors are not those of this predictor.
    """

    def __init__(self, path: Path = SHIPPED_WEIGHTS) -> None:
        try:
            content = path.read_bytes()
            tensors = load(content)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: no readable weights of the lexical predictor ({error})") from None
        shapes = {name: tensors[name].shape for name in TENSORS if name in tensors}
        if set(shapes) != set(TENSORS) or shapes["w1"][1] != FEATURES:
            raise InputError(
                f"{path}: not weights of this lexical predictor; it needs {', '.join(TENSORS)} with {FEATURES} features"
            )
        # float64, because a float32 product can differ in its last bits with the number of rows around a word.
        self._weights = {name: tensors[name].astype(np.float64) for name in TENSORS}
        self._fingerprint = f"lexical-{hashlib.sha256(content).hexdigest()[:32]}-1"

    @property
    def fingerprint(self) -> str:
        """Name and hash of the weights; the trailing number counts versions of the features."""
        return self._fingerprint

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the measures of each text; its units are its words. An empty text has none."""
        table = word_table(texts)
        words = len(table.form)
        values = np.empty((words, len(MEASURES)), dtype=np.float32)
        for start in range(0, words, _ROWS):
            stop = min(start + _ROWS, words)
            values[start:stop] = self._measures(feature_rows(table, start, stop))
        bounds = zip(table.offsets[:-1], table.offsets[1:], strict=True)
        return [
            TextGaze(table.spans[low:high], values[low:high], np.arange(high - low, dtype=np.int32))
            for low, high in bounds
        ]

    def _measures(self, features: NDArray[np.float64]) -> NDArray[np.float32]:
        weights = self._weights
        state = (features - weights["input_mean"]) / weights["input_scale"]
        state = np.maximum(state @ weights["w1"] + weights["b1"][:, None], 0.0)
        state = np.maximum(state @ weights["w2"] + weights["b2"][:, None], 0.0)
        output = (state @ weights["w3"] + weights["b3"][:, None]).mean(axis=0)
        return respect_order(np.round(output, 3))


@gaze_predictor("lexical")
def create_lexical(config: Config) -> LexicalPredictor:
    """Build the predictor from `gaze.path`, or from the shipped weights where that is unset."""
    return LexicalPredictor(Path(config.gaze.path) if config.gaze.path else SHIPPED_WEIGHTS)
