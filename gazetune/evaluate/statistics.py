"""Intervals and paired tests for accuracies on the same items.

An item is a preference pair. Its correctness is 1, 0, or one half for a tie (see `gazetune.evaluate.accuracy`).

The normal distribution, the exact binomial test and the t-test are scipy's. Two intervals are written here, because
scipy has them for other inputs only:

- Wilson's interval. `binomtest(k, n).proportion_ci("wilson")` takes a whole number of successes, and ties make halves.
  Without ties both are equal; a test holds that.
- The BCa bootstrap of a mean difference. `scipy.stats.bootstrap` draws items, 10,000 times n of them, and ends with NaN
  where all items are equal. Here an item's difference takes at most five values (-1, -1/2, 0, 1/2, 1). A resample is
  therefore one multinomial draw of their counts: the same distribution, at a cost that does not depend on n. A test
  compares both.

`scipy.stats` takes seconds to import, and workers that train ask this file for Wilson's interval alone, which needs no
more than the standard library. So the other functions import it themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much more often a is right than b on the same items."""

    difference: float
    """Mean of `correct_a - correct_b`, in -1..1."""
    low: float
    high: float
    """Ends of the bootstrap interval of the difference."""
    p: float
    """Two-sided p of the exact McNemar test: are the items that only one is right on split evenly?"""


def accuracy_interval(correct: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of an accuracy (Wilson 1927, JASA 22:209-212).

    Parameters
    ----------
    correct
        [n] of 0, 1/2 (a tie) or 1. Halves vary less than a coin, so with ties the interval is a little too wide.
    level
        Coverage, in (0, 1).

    Raises
    ------
    ValueError
        For no items.

    Examples
    --------
    >>> low, high = accuracy_interval(np.array([1.0] * 75 + [0.0] * 25))
    >>> f"{low:.3f} to {high:.3f}"
    '0.657 to 0.825'
    """
    n = len(correct)
    if n == 0:
        raise ValueError("an interval needs at least one item, got none")
    share = float(np.mean(correct))
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def paired_difference(
    correct_a: NDArray[np.float64], correct_b: NDArray[np.float64], level: float = 0.95, seed: int = 0
) -> PairedDifference:
    """Compare two models item by item on the same items.

    The interval is the BCa bootstrap (Efron 1987, JASA 82:171-185) of the mean difference. When all items have the same
    difference, the interval is that one point. p is McNemar's exact test over the discordant items (McNemar 1947,
    Psychometrika 12:153-157). An item that is a tie for one model only is discordant too.

    Parameters
    ----------
    correct_a, correct_b
        [n] each, of 0, 1/2 or 1, item i of both about the same preference pair.
    level
        Coverage of the interval, in (0, 1).
    seed
        Of the resampling.

    Raises
    ------
    ValueError
        For no items, different numbers of items, or NaN.

    Examples
    --------
    >>> gaze, no_gaze = np.array([1.0] * 80 + [0.0] * 20), np.array([1.0] * 70 + [0.0] * 20 + [1.0] * 10)
    >>> found = paired_difference(gaze, no_gaze)
    >>> found.difference, found.low < 0 < found.high, found.p
    (0.0, True, 1.0)
    """
    if len(correct_a) != len(correct_b):
        raise ValueError(f"a paired comparison needs the same items, got {len(correct_a)} and {len(correct_b)}")
    if len(correct_a) == 0:
        raise ValueError("a paired comparison needs at least one item, got none")
    items = np.asarray(correct_a, dtype=np.float64) - np.asarray(correct_b, dtype=np.float64)
    if np.isnan(items).any():
        raise ValueError(f"item {int(np.flatnonzero(np.isnan(items))[0])} is NaN")
    from scipy import stats

    better, worse = int((items > 0).sum()), int((items < 0).sum())
    p = float(stats.binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0
    low, high = _bca_interval(items, level, np.random.default_rng(seed))
    return PairedDifference(float(items.mean()), low, high, p)


def mcnemar_p_less(correct: NDArray[np.float64], best: NDArray[np.float64]) -> float:
    """Return the one-sided p of McNemar's exact test (1947) that a model is right less often than another.

    The p is small when, among the items that only one of the two is right on, too few are the model's own.

    Parameters
    ----------
    correct, best
        [n] each, of 0, 1/2 or 1, item i of both about the same preference pair.

    Examples
    --------
    >>> mcnemar_p_less(np.array([0.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0]))  # 1/8: three of three lost
    0.125
    """
    from scipy import stats

    items = correct - best
    better, worse = int((items > 0).sum()), int((items < 0).sum())
    return float(stats.binomtest(better, better + worse, 0.5, alternative="less").pvalue) if better + worse else 1.0


def paired_t_p_less(scores: NDArray[np.float64], best: NDArray[np.float64]) -> float:
    """Return the one-sided p of the paired t-test that `scores` [n] have a smaller mean than `best` [n]."""
    from scipy import stats

    items = scores - best
    if np.ptp(items) == 0.0:  # no spread to compare the mean with
        return 0.0 if items[0] < 0 else 1.0
    return float(stats.ttest_1samp(items, 0.0, alternative="less").pvalue)


def _bca_interval(items: NDArray[np.float64], level: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval of the mean of `items` [n]."""
    from scipy import stats

    values, counts = np.unique(items, return_counts=True)
    mean = float(items.mean())
    if len(values) == 1:
        return mean, mean
    means = rng.multinomial(len(items), counts / len(items), size=RESAMPLES) @ values / len(items)
    # The observed mean is itself a point of the lattice that the resampled means lie on: count it half.
    below = np.mean(means < mean - 1e-12) + 0.5 * np.mean(np.abs(means - mean) <= 1e-12)
    bias = float(stats.norm.ppf(np.clip(below, 1.0 / RESAMPLES, 1.0 - 1.0 / RESAMPLES)))
    deviations = items - mean  # proportional to what the jackknife would give for a mean
    acceleration = float((deviations**3).sum() / (6.0 * (deviations**2).sum() ** 1.5))
    tails = stats.norm.ppf([0.5 - level / 2.0, 0.5 + level / 2.0]) + bias
    levels = stats.norm.cdf(bias + tails / (1.0 - acceleration * tails))
    low, high = np.quantile(means, levels)
    return float(low), float(high)
