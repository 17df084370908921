"""How far a predictor is from measured reading."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from gazetune.config import MEASURES
from gazetune.gaze.measured_sentences import MeasuredSentences
from gazetune.gaze.measures import GazePredictor


class MeasureErrors(TypedDict):
    """How far predictions of one measure are from measured words."""

    mae: float
    """Mean absolute error, in the measure's unit."""
    spearman: float | None
    """Rank correlation over words; None where either side is constant."""


class PredictorErrors(TypedDict):
    """How far a predictor is from measured sentences."""

    measures: dict[str, MeasureErrors]
    """By measure, in the order of `MEASURES`."""
    mean_mae: float
    """Mean of the five mean absolute errors, as in the CMCL 2021 shared task (Hollenstein et al., 2021)."""
    words: int


def compute_errors(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> MeasureErrors:
    """Return how far predicted values [words] of one measure are from the measured ones.

    Examples
    --------
    >>> compute_errors(np.array([1.0, 2.0, 5.0]), np.array([2.0, 3.0, 4.0]))
    {'mae': 1.0, 'spearman': 1.0}
    """
    constant = np.ptp(predicted) == 0.0 or np.ptp(measured) == 0.0
    return {
        "mae": float(np.abs(predicted - measured).mean()),
        "spearman": None if constant else float(spearmanr(predicted, measured).statistic),
    }


def predict_sentences(predictor: GazePredictor, sentences: MeasuredSentences) -> NDArray[np.float64]:
    """Return what a predictor says of all words of measured sentences, [words, 5] (see `TextGaze.word_values`).

    Predictions are cut off at 100, the end of the scale that the sentences were measured on.

    Raises
    ------
    InputError
        If the predictor refuses a sentence.
    """
    gazes = predictor.predict(sentences.texts)
    words = [gaze.word_values(len(text.split())) for text, gaze in zip(sentences.texts, gazes, strict=True)]
    return np.minimum(np.concatenate(words), 100.0)


def evaluate_predictor(predictor: GazePredictor, sentences: MeasuredSentences) -> PredictorErrors:
    """Return how far a predictor is from measured sentences, word by word (see `predict_sentences`).

    Raises
    ------
    InputError
        If the predictor refuses a sentence.
    """
    predicted = predict_sentences(predictor, sentences)
    errors = {
        name: compute_errors(predicted[:, column], sentences.values[:, column]) for column, name in enumerate(MEASURES)
    }
    mean_mae = float(np.mean([each["mae"] for each in errors.values()]))
    return {"measures": errors, "mean_mae": mean_mae, "words": len(predicted)}
