"""The measures of a text word by word, whatever the units of the predictor that made them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.measures import GazePredictor, TextGaze
from gazetune.gaze.words import word_spans


def word_measures(gaze: TextGaze, words: int) -> NDArray[np.float64]:
    """Return the measures of each word, [words, 5]: the sum over its units; zeros where it has none."""
    values = np.zeros((words, len(MEASURES)))
    np.add.at(values, gaze.words, gaze.values)
    return values


def predict_words(predictor: GazePredictor, text: str) -> list[dict[str, str | int | float]]:
    """Return `{word, start, end, nFix, FFD, GPT, TRT, fixProp}` of each word of a text, in order.

    `start` and `end` are character offsets into the text; the measures are as in `word_measures`, rounded to four
    decimals.

    Raises
    ------
    InputError
        If the text has no words, or the predictor refuses it.
    """
    spans = word_spans(text)
    if not len(spans):
        raise InputError(f"text {text[:40]!r}: has no words")
    values = word_measures(predictor.predict([text])[0], len(spans)).round(4)
    return [
        {"word": text[start:end], "start": start, "end": end, **dict(zip(MEASURES, row, strict=True))}
        for (start, end), row in zip(spans.tolist(), values.tolist(), strict=True)
    ]
