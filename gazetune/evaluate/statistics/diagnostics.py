"""What else margins tell: whether rewards are as sure as they should be, and whether they follow length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.evaluate.accuracy import pair_correctness
from gazetune.evaluate.statistics.accuracy import accuracy_interval

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Pairs about which a model is about equally sure."""

    confidence: float
    """Mean probability, by the rewards, that the preferred reply is the one with the higher reward; 0.5 to 1."""
    accuracy: float
    ci95: tuple[float, float]
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well the probabilities that rewards stand for agree with how often they are right."""

    bins: tuple[ReliabilityBin, ...]
    """From unsure to sure; about as many pairs in each."""
    error: float
    """Expected calibration error: the mean of |accuracy - confidence| over the pairs, bin by bin."""


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Pairs whose chosen and rejected replies differ about equally in length."""

    words: tuple[int, int]
    """Least and most words that the chosen reply has more than the rejected one."""
    accuracy: float
    ci95: tuple[float, float]
    n: int


@dataclass(frozen=True, slots=True)
class LengthBias:
    """Whether a model prefers longer or shorter replies than the labels do."""

    prefers_longer: float
    """Share of the pairs of unequal lengths on which the model prefers the longer reply."""
    labels_prefer_longer: float
    """Share of the same pairs on which the label does."""
    bins: tuple[LengthBin, ...]
    """By how much longer the chosen reply is, from shorter to longer; about as many pairs in each."""


def measure_reliability(margins: NDArray[np.float64], bins: int = BINS) -> Reliability:
    """Compare the probabilities that margins stand for with how often they are right.

    Under the model of Bradley and Terry (1952) the reply with the higher reward is the preferred one with probability
    sigmoid(|margin|). Bins hold equally many pairs (Nixon et al. 2019, arXiv 1904.01685); the error is that of Naeini,
    Cooper and Hauskrecht (2015, AAAI).

    Parameters
    ----------
    margins
        [n] rewards of the chosen less those of the rejected replies.
    bins
        At most so many.

    Raises
    ------
    ValueError
        For no margins or NaN.

    Examples
    --------
    >>> margins = np.array([2.0] * 88 + [-2.0] * 12)  # sigmoid(2) is 0.88
    >>> round(measure_reliability(margins).error, 3)
    0.001
    """
    _check_margins(margins)
    confidence = 1.0 / (1.0 + np.exp(-np.abs(margins)))
    right = pair_correctness(margins)
    made = []
    for rows in _equal_bins(confidence, bins):
        accuracy = float(right[rows].mean())
        made.append(ReliabilityBin(float(confidence[rows].mean()), accuracy, accuracy_interval(right[rows]), len(rows)))
    error = sum(each.n * abs(each.accuracy - each.confidence) for each in made) / len(margins)
    return Reliability(tuple(made), error)


def measure_length_bias(margins: NDArray[np.float64], words: NDArray[np.int32], bins: int = BINS) -> LengthBias:
    """Compare how often a model and the labels prefer the longer reply, and its accuracy by difference of length.

    Parameters
    ----------
    margins
        [n] rewards of the chosen less those of the rejected replies.
    words
        [n, 2] words of the chosen and of the rejected reply.
    bins
        At most so many.

    Raises
    ------
    ValueError
        For no margins, NaN, or another number of lengths.

    Examples
    --------
    >>> found = measure_length_bias(np.array([1.0, 1.0, -1.0, 1.0]), np.array([[9, 3], [8, 2], [1, 5], [7, 6]]))
    >>> found.prefers_longer, found.labels_prefer_longer
    (1.0, 0.75)
    """
    _check_margins(margins)
    if len(words) != len(margins):
        raise ValueError(f"each pair needs its lengths, got {len(margins)} pairs and {len(words)} lengths")
    surplus = words[:, 0].astype(np.int64) - words[:, 1]
    right = pair_correctness(margins)
    unequal = surplus != 0
    longer = np.where(surplus > 0, right, 1.0 - right)[unequal]
    made = [
        LengthBin(
            (int(surplus[rows].min()), int(surplus[rows].max())),
            float(right[rows].mean()),
            accuracy_interval(right[rows]),
            len(rows),
        )
        for rows in _equal_bins(surplus.astype(np.float64), bins)
    ]
    if not unequal.any():
        return LengthBias(0.5, 0.5, tuple(made))
    return LengthBias(float(longer.mean()), float(np.mean(surplus[unequal] > 0)), tuple(made))


def _equal_bins(values: NDArray[np.float64], bins: int) -> list[NDArray[np.int64]]:
    """Return the rows of each bin of about equally many values; equal values are in one bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    number = np.searchsorted(edges, values, side="left")
    return [np.flatnonzero(number == each) for each in np.unique(number)]


def _check_margins(margins: NDArray[np.float64]) -> None:
    if len(margins) == 0 or np.isnan(margins).any():
        raise ValueError("needs margins, at least one and none of them NaN")
