"""Total reading time moved to neighbouring words, as if the eye had taken in more than the word it rested on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.gaze.measures import FlatGaze

_REACH = 4.0  # standard deviations at which a side is cut off; the weight there is exp(-8)
_TRT = MEASURES.index("TRT")


def redistribute_trt(gaze: FlatGaze, sigma: tuple[float, float]) -> NDArray[np.float32]:
    """Return the measures [units, 5] with each word's TRT divided over itself and its neighbours.

    A word gives shares of its TRT to itself and to the other words of its text. The weight of the word at distance d
    (in words) is exp(-d^2 / (2 sigma^2)), with one sigma for the words before and one for the words after; the word's
    own weight is 1. Weights are normalised over the words that have measures, so the sum over a text stays what it was.
    The other measures stay as they are. A word with several units divides its new TRT over them in their old
    proportions, and evenly where all had none. GazeReward's follow-ups propose it (asymmetric redistribution of TRT).
    The cost is linear in units for a given sigma.

    Parameters
    ----------
    gaze
        Units of several texts, measures not negative.
    sigma
        Standard deviations to the left (words before) and to the right (words after), in words; each side ends at four
        of them, and 0 gives nothing to that side.

    Examples
    --------
    >>> values = np.zeros((3, 5), np.float32)
    >>> values[1, 3] = 9.0  # TRT of the middle word
    >>> gaze = FlatGaze(np.zeros((3, 2), np.int32), values, np.arange(3, dtype=np.int32), np.array([0, 3]))
    >>> redistribute_trt(gaze, sigma=(0.0, 1.0))[:, 3].round(1)  # the word after it gets a share
    array([0. , 5.6, 3.4], dtype=float32)
    """
    word, word_text = gaze.number_words()
    trt = gaze.values[:, _TRT].astype(np.float64)
    units = np.bincount(word, minlength=len(word_text))
    before = np.bincount(word, weights=trt, minlength=len(word_text)).astype(np.float64)
    after = _spread_over_neighbours(before, units > 0, word_text, sigma)
    had = before[word]
    share = np.where(had > 0, trt / np.where(had > 0, had, 1.0), 1.0 / units[word])
    values = gaze.values.copy()
    values[:, _TRT] = share * after[word]
    return values


def _spread_over_neighbours(
    totals: NDArray[np.float64], present: NDArray[np.bool_], text: NDArray[np.int64], sigma: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the totals [words] after each word gave its shares. It loops over distances, not over words."""
    kernel = [(0, 1.0)]
    longest = int(np.bincount(text).max(initial=1)) - 1
    for side, deviation in zip((-1, 1), sigma, strict=True):
        for distance in range(1, min(int(_REACH * deviation), longest) + 1):
            kernel.append((side * distance, math.exp(-(distance**2) / (2 * deviation**2))))
    whole = np.zeros_like(totals)
    for shift, weight in kernel:
        giver, taker = _pair_slices(len(totals), shift)
        whole[giver] += weight * (present[taker] & (text[giver] == text[taker]))
    given = np.divide(totals, whole, out=np.zeros_like(totals), where=present)
    result = np.zeros_like(totals)
    for shift, weight in kernel:
        giver, taker = _pair_slices(len(totals), shift)
        result[taker] += weight * given[giver] * (present[taker] & (text[giver] == text[taker]))
    return result


def _pair_slices(words: int, shift: int) -> tuple[slice, slice]:
    """Return the words that give and the words that take at a distance of `shift`, as slices of equal length."""
    size = max(words - abs(shift), 0)
    first = max(-shift, 0)
    return slice(first, first + size), slice(first + shift, first + shift + size)
