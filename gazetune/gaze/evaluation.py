"""How far a predictor is from measured reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from gazetune.config import MEASURES
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.sentences import ReadSentences, read_sentences
from gazetune.gaze.word_measures import word_measures


class WordErrors(TypedDict):
    """How far predictions of one measure are from measured words."""

    mae: float
    """Mean absolute error, in the measure's unit."""
    spearman: float | None
    """Rank correlation over words; None where either side is constant."""


def errors_between(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> WordErrors:
    """Return how far predicted values [words] of one measure are from the measured ones."""
    constant = np.ptp(predicted) == 0.0 or np.ptp(measured) == 0.0
    return {
        "mae": float(np.abs(predicted - measured).mean()),
        "spearman": None if constant else float(spearmanr(predicted, measured).statistic),
    }


def predicted_words(predictor: GazePredictor, data: ReadSentences) -> NDArray[np.float64]:
    """Return what a predictor says of all words of measured sentences, [words, 5] (see `word_measures`).

    At most 100, the end of the scale that the sentences were measured on.

    Raises
    ------
    InputError
        If the predictor refuses a sentence.
    """
    predicted = predictor.predict(data.texts)
    words = [word_measures(gaze, len(text.split())) for text, gaze in zip(data.texts, predicted, strict=True)]
    return np.minimum(np.concatenate(words), 100.0)


def evaluate_predictor(predictor: GazePredictor, data_csv: Path) -> dict[str, Any]:
    """Return how far a predictor is from the measures of a CMCL-format CSV, as `errors_on` does.

    Raises
    ------
    InputError
        If the CSV cannot be used (see `read_sentences`), or the predictor refuses a sentence.
    """
    return errors_on(predictor, read_sentences(data_csv))


def errors_on(predictor: GazePredictor, data: ReadSentences) -> dict[str, Any]:
    """Return how far a predictor is from measured sentences, word by word (see `predicted_words`).

    Returns
    -------
    dict
        `{measures: {nFix: {mae, spearman}, ...}, mean_mae, words}` with the `WordErrors` of each measure; `mean_mae` is
        the mean of the five as in the shared task (Hollenstein et al., 2021).
    """
    values = predicted_words(predictor, data)
    measures = {name: errors_between(values[:, column], data.values[:, column]) for column, name in enumerate(MEASURES)}
    mean_mae = float(np.mean([errors["mae"] for errors in measures.values()]))
    return {"measures": measures, "mean_mae": mean_mae, "words": len(values)}
