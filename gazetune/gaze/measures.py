"""Reading measures of a text, per unit of the predictor that made them.

Measures stand in the order and units of the CMCL 2021 shared task: nFix (100 = 7.25 fixations), FFD, GPT (go-past
time) and TRT (1 unit = 48.5 ms), fixProp (percent of readers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES


@dataclass(frozen=True, slots=True)
class TextGaze:
    """The measures of one text. A unit is a word, or a token of the predictor's own tokenizer."""

    spans: NDArray[np.int32]
    """[units, 2] character offsets (start, end) into the text, in Python string indices."""
    values: NDArray[np.float32]
    """[units, 5] measures in the order of `MEASURES`."""
    words: NDArray[np.int32]
    """[units] index of the word that the unit belongs to, counted from 0 within the text."""


class GazePredictor(Protocol):
    """Texts in, measures out. Deterministic: the same text always gets the same measures."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the measures of any text would change (name, seed, weights' hash)."""

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the measures of each text, in order."""


def feature_columns(features: Sequence[str]) -> list[int]:
    """Return the columns of `TextGaze.values` that a feature mask selects."""
    return [MEASURES.index(name) for name in features]
