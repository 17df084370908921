"""What a model scores on test pairs, and the documents that `gazetune train` prints of it."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from gazetune.evaluate.accuracy import pair_correctness
from gazetune.evaluate.length import shorter_baseline
from gazetune.evaluate.statistics import accuracy_interval, paired_difference


class AccuracyDocument(TypedDict):
    """The share of pairs ranked rightly."""

    accuracy: float
    n: int
    ci95: list[float]


class BaselineDocument(AccuracyDocument):
    """The accuracy of a baseline, and how much more often the model is right."""

    difference: float
    difference_ci95: list[float]


class TestDocument(TypedDict):
    """What a model scores on the test split."""

    test: AccuracyDocument
    shorter: BaselineDocument
    """Of the baseline that prefers the shorter response."""


class ResultDocument(TestDocument):
    """What `result.json` holds."""

    examples: int
    seconds: float
    val_accuracy: float


class TrainDocument(ResultDocument):
    """What `gazetune train --json` prints."""

    data: PairsDocument
    name: str
    folder: str
    tracking_uri: str
    mlflow_run: str


class PairsDocument(TypedDict):
    """Which pairs there were, and which were left out."""

    pairs: dict[str, int]
    """By split."""
    dropped: dict[str, int]
    """By reason."""
    notes: dict[str, int]
    """What else is to be known of them, and of how many."""


class EvaluateDocument(TestDocument):
    """What `gazetune train --mode evaluate --json` prints."""

    folder: str
    data: PairsDocument


def describe_test_scores(rewards: NDArray[np.float64], words: NDArray[np.int32]) -> TestDocument:
    """Return the accuracy of a model, and of preferring the shorter response, on the same pairs.

    Parameters
    ----------
    rewards
        [pairs, 2] of the chosen and the rejected responses.
    words
        [pairs, 2] words of the responses.
    """
    right = pair_correctness(rewards[:, 0] - rewards[:, 1])
    shorter = shorter_baseline(words)
    difference = paired_difference(right, shorter)
    return {
        "test": _accuracy_document(right),
        "shorter": {
            **_accuracy_document(shorter),
            "difference": difference.difference,
            "difference_ci95": [difference.low, difference.high],
        },
    }


def _accuracy_document(right: NDArray[np.float64]) -> AccuracyDocument:
    return {"accuracy": float(right.mean()), "n": len(right), "ci95": list(accuracy_interval(right))}
