"""The predictor `lexical`: measures from the form of a word and its neighbours, with no download and no torch.

A few small networks whose outputs are averaged, fitted by `gazetune gaze fit`; `lexical.md` is their card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.lexical_features import (
    BUCKETS,
    CONTEXT,
    FORM_FEATURES,
    PLACE_FEATURES,
    WordTable,
    neighbour_forms,
    word_places,
    word_table,
)
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.registry import gaze_predictor

SHIPPED_WEIGHTS = Path(__file__).with_suffix(".safetensors")
"""The weights that come with the package."""

TENSORS = {
    "form_mean": (FORM_FEATURES,),
    "form_scale": (FORM_FEATURES,),
    "place_mean": (PLACE_FEATURES,),
    "place_scale": (PLACE_FEATURES,),
    "pieces": ("members", BUCKETS, "piece"),
    "w0": ("members", "own", "code"),
    "b0": ("members", "code"),
    "w1": ("members", "seen", "hidden"),
    "b1": ("members", "hidden"),
    "w2": ("members", "hidden", "hidden"),
    "b2": ("members", "hidden"),
    "w3": ("members", "hidden", len(MEASURES)),
    "b3": ("members", len(MEASURES)),
}
"""Tensors of a weights file with their shapes; a name stands for a size that the file chooses.

own = FORM_FEATURES + piece (a word by itself), seen = own + (2 * CONTEXT + 1) * code + PLACE_FEATURES.
"""

_ROWS = 2048  # words of one matrix product: bounds the memory whatever the number of texts


def enforce_order(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return measures [words, 5] within 0..100 and with FFD <= GPT and FFD <= TRT, as real ones are."""
    values = np.clip(values, 0.0, 100.0)
    ffd = values[:, MEASURES.index("FFD")]
    for longer in ("GPT", "TRT"):
        column = MEASURES.index(longer)
        values[:, column] = np.maximum(values[:, column], ffd)
    return values.astype(np.float32)


class LexicalPredictor:
    """Measures of any text from a weights file, or from a folder that `gazetune gaze fit` made.

    Raises
    ------
    InputError
        If the file cannot be read or its tensors are not those of this predictor.
    """

    def __init__(self, path: Path = SHIPPED_WEIGHTS) -> None:
        if path.is_dir():
            path = path / SHIPPED_WEIGHTS.name
        try:
            content = path.read_bytes()
            tensors = load(content)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: no readable weights of the lexical predictor ({error})") from None
        if not _have_right_shapes(tensors):
            raise InputError(f"{path}: not weights of this lexical predictor; it needs {', '.join(TENSORS)}")
        # float64, because a float32 product can differ in its last bits with the number of rows around a word.
        self._weights = {name: tensors[name].astype(np.float64) for name in TENSORS}
        self._fingerprint = f"lexical-{hashlib.sha256(content).hexdigest()[:32]}-2"

    @property
    def fingerprint(self) -> str:
        """Name and hash of the weights; the trailing number counts versions of the features."""
        return self._fingerprint

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the measures of each text; its units are its words. An empty text has none."""
        table = word_table(texts)
        words = len(table.form)
        values = np.empty((words, len(MEASURES)), dtype=np.float32)
        if words:
            own, code = self._describe_words(table)
            for start in range(0, words, _ROWS):
                stop = min(start + _ROWS, words)
                near = neighbour_forms(table, start, stop)
                values[start:stop] = self._predict_rows(own, code, near, word_places(table, start, stop))
        bounds = zip(table.offsets[:-1], table.offsets[1:], strict=True)
        return [
            TextGaze(table.spans[low:high], values[low:high], np.arange(high - low, dtype=np.int32))
            for low, high in bounds
        ]

    def _describe_words(self, table: WordTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return each distinct word by itself, [members, distinct, own], and its code, [members, distinct + 1, code].

        The code is what its neighbours see of a word; the last one, zero, stands where there is none.
        """
        weights = self._weights
        counts = np.diff(table.piece_offsets)
        letters = np.add.reduceat(weights["pieces"][:, table.pieces], table.piece_offsets[:-1], axis=1)
        letters /= np.sqrt(counts)[:, None]
        forms = (table.forms - weights["form_mean"]) / weights["form_scale"]
        own = np.concatenate([np.broadcast_to(forms, (len(letters), *forms.shape)), letters], axis=2)
        code = np.maximum(own @ weights["w0"] + weights["b0"][:, None], 0.0)
        return own, np.pad(code, [(0, 0), (0, 1), (0, 0)])

    def _predict_rows(
        self,
        own: NDArray[np.float64],
        code: NDArray[np.float64],
        near: NDArray[np.int64],
        places: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        weights = self._weights
        members, words = len(own), len(near)
        place = (places - weights["place_mean"]) / weights["place_scale"]
        seen = [
            own[:, near[:, CONTEXT]],
            code[:, near].reshape(members, words, -1),
            np.broadcast_to(place, (members, *place.shape)),
        ]
        state = np.maximum(np.concatenate(seen, axis=2) @ weights["w1"] + weights["b1"][:, None], 0.0)
        state = np.maximum(state @ weights["w2"] + weights["b2"][:, None], 0.0)
        output = (state @ weights["w3"] + weights["b3"][:, None]).mean(axis=0)
        return enforce_order(np.round(output, 3))


def _have_right_shapes(tensors: Mapping[str, NDArray[np.floating]]) -> bool:
    """Return whether the tensors have the names of `TENSORS` and shapes that go together."""
    if set(tensors) != set(TENSORS) or any(tensors[name].ndim != len(shape) for name, shape in TENSORS.items()):
        return False
    own = FORM_FEATURES + tensors["pieces"].shape[2]
    code = tensors["b0"].shape[1]
    sizes = {
        "members": len(tensors["b3"]),
        "piece": tensors["pieces"].shape[2],
        "own": own,
        "code": code,
        "seen": own + (2 * CONTEXT + 1) * code + PLACE_FEATURES,
        "hidden": tensors["b1"].shape[1],
    }
    return all(
        tensors[name].shape == tuple(size if isinstance(size, int) else sizes[size] for size in shape)
        for name, shape in TENSORS.items()
    )


@gaze_predictor("lexical")
def create_lexical(config: Config) -> LexicalPredictor:
    """Build the predictor from `gaze.path`, or from the shipped weights where that is unset."""
    return LexicalPredictor(Path(config.gaze.path) if config.gaze.path else SHIPPED_WEIGHTS)
