"""How far a predictor is from measured reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from gazetune.config import MEASURES
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.sentences import ReadSentences, read_sentences
from gazetune.gaze.word_measures import word_measures


def evaluate_predictor(predictor: GazePredictor, data_csv: Path) -> dict[str, Any]:
    """Return how far a predictor is from the measures of a CMCL-format CSV, as `errors_on` does.

    Raises
    ------
    InputError
        If the CSV cannot be used (see `read_sentences`), or the predictor refuses a sentence.
    """
    return errors_on(predictor, read_sentences(data_csv))


def errors_on(predictor: GazePredictor, data: ReadSentences) -> dict[str, Any]:
    """Return how far a predictor is from measured sentences, word by word (see `word_measures`).

    Returns
    -------
    dict
        `{measures: {nFix: {mae, spearman}, ...}, mean_mae, words}`; `mae` in the measures' units, `spearman` the rank
        correlation over words (None where either side is constant), `mean_mae` the mean of the five as in the shared
        task (Hollenstein et al., 2021).
    """
    predicted = predictor.predict(data.texts)
    values = np.concatenate(
        [word_measures(gaze, len(text.split())) for text, gaze in zip(data.texts, predicted, strict=True)]
    )
    measures = {
        name: {
            "mae": float(np.abs(values[:, column] - data.values[:, column]).mean()),
            "spearman": _rank_correlation(values[:, column], data.values[:, column]),
        }
        for column, name in enumerate(MEASURES)
    }
    mean_mae = float(np.mean([errors["mae"] for errors in measures.values()]))
    return {"measures": measures, "mean_mae": mean_mae, "words": len(values)}


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return None
    return float(spearmanr(first, second).statistic)
