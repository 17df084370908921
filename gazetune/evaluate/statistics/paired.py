"""Two runs on the same items: how much more often one is right, and whether chance alone could give that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gazetune.evaluate.statistics.bootstrap import RESAMPLES, bca_interval, group_items

Groups = Sequence[object] | NDArray[np.generic] | None
"""Which items belong together, such as the pairs of one prompt: a name for each item, or None where none do."""
Alternative = Literal["two-sided", "less", "greater"]


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much more often a is right than b on the same items."""

    difference: float
    """Mean of `correct_a - correct_b`, in -1..1."""
    low: float
    high: float
    """Ends of the bootstrap interval of the difference."""
    p: float
    """Two-sided p of the exact McNemar test: are the items that only one is right on split evenly?

    Where prompts have several items it is that of the sign-flip test.
    """
    discordance: float = 0.0
    """Share of the items on which the two differ."""


@dataclass(frozen=True, slots=True)
class EffectSize:
    """How large a paired difference is, whatever the number of items."""

    d_z: float
    """Mean of the items' differences over their standard deviation (Cohen 1988); 0 where no item differs."""
    g: float
    """Cohen's g: the share of the items that differ which a is better on, less one half; 0 where no item differs."""


def paired_difference(
    correct_a: NDArray[np.float64],
    correct_b: NDArray[np.float64],
    level: float = 0.95,
    seed: int = 0,
    groups: Groups = None,
) -> PairedDifference:
    """Compare two models item by item on the same items.

    The interval is the BCa bootstrap (Efron 1987, JASA 82:171-185) of the mean difference. When all items have the same
    difference, the interval is that one point. p is McNemar's exact test over the discordant items (McNemar 1947,
    Psychometrika 12:153-157). An item that is a tie for one model only is discordant too. McNemar's test takes items
    for independent; where a prompt has several of them, p is that of `sign_flip_p`.

    Parameters
    ----------
    correct_a, correct_b
        [n] each, of 0, 1/2 or 1, item i of both about the same preference pair.
    level
        Coverage of the interval, in (0, 1).
    seed
        Of the resampling.
    groups
        [n], the prompt of each item: whole prompts are resampled. None: every item is a prompt of its own.

    Raises
    ------
    ValueError
        For no items, different numbers of items, or NaN.

    Examples
    --------
    >>> gaze, no_gaze = np.array([1.0] * 80 + [0.0] * 20), np.array([1.0] * 70 + [0.0] * 20 + [1.0] * 10)
    >>> found = paired_difference(gaze, no_gaze)
    >>> found.difference, found.low < 0 < found.high, found.p, found.discordance
    (0.0, True, 1.0, 0.2)
    """
    items = item_differences(correct_a, correct_b)
    grouped = group_items(items, groups)
    low, high = bca_interval(grouped, level, np.random.default_rng(seed))
    is_independent = len(grouped.sums) == len(items)
    p = (
        _mcnemar_p(items, "two-sided")
        if is_independent
        else sign_flip_p(correct_a, correct_b, "two-sided", seed, groups)
    )
    return PairedDifference(float(items.mean()), low, high, p, float(np.mean(items != 0)))


def item_differences(correct_a: NDArray[np.float64], correct_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `correct_a - correct_b` [n].

    Raises
    ------
    ValueError
        For different numbers of items.
    """
    if len(correct_a) != len(correct_b):
        raise ValueError(f"a paired comparison needs the same items, got {len(correct_a)} and {len(correct_b)}")
    return np.asarray(correct_a, dtype=np.float64) - np.asarray(correct_b, dtype=np.float64)


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
    return _mcnemar_p(correct - best, "less")


def paired_t_p_less(scores: NDArray[np.float64], best: NDArray[np.float64]) -> float:
    """Return the one-sided p of the paired t-test that `scores` [n] have a smaller mean than `best` [n]."""
    from scipy import stats

    items = scores - best
    if np.ptp(items) == 0.0:  # no spread to compare the mean with
        return 0.0 if items[0] < 0 else 1.0
    return float(stats.ttest_1samp(items, 0.0, alternative="less").pvalue)


def sign_flip_p(
    scores_a: NDArray[np.float64],
    scores_b: NDArray[np.float64],
    alternative: Alternative = "two-sided",
    seed: int = 0,
    groups: Groups = None,
) -> float:
    """Return the p of the paired permutation test: the sign of each item's difference is drawn anew (Fisher 1935).

    `scipy.stats.permutation_test` with `permutation_type="samples"` is the same test without groups; a test compares
    both. Here items of the same difference are flipped together by one binomial draw, so the cost does not grow with n.

    Parameters
    ----------
    scores_a, scores_b
        [n] each: correctness, margins, or any other score of item i.
    alternative
        `greater`: is a better than b?
    seed
        Of the draws. The smallest p is 1 / (`RESAMPLES` + 1), one-sided.
    groups
        [n], the prompt of each item: all differences of a prompt change their sign together.

    Raises
    ------
    ValueError
        For no items, different numbers of items, or NaN.

    Examples
    --------
    >>> a, b = np.array([1.0] * 40 + [0.0] * 10), np.array([0.0] * 20 + [1.0] * 20 + [1.0] * 10)
    >>> sign_flip_p(a, b) < 0.2, sign_flip_p(a, a)
    (True, 1.0)
    """
    sums = group_items(item_differences(scores_a, scores_b), groups).sums
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    flipped = np.random.default_rng(seed).binomial(counts, 0.5, size=(RESAMPLES, len(counts)))
    totals, total = (counts - 2 * flipped) @ sizes, float(sums.sum())
    near = 1e-9 * max(1.0, float(sizes.sum() if len(sizes) else 0.0))  # the same sum, added up in another order
    at_least = (1 + int((totals >= total - near).sum())) / (RESAMPLES + 1)
    at_most = (1 + int((totals <= total + near).sum())) / (RESAMPLES + 1)
    one_sided = {"greater": at_least, "less": at_most}
    return one_sided.get(alternative, min(1.0, 2 * min(at_least, at_most)))


def paired_effect_size(correct_a: NDArray[np.float64], correct_b: NDArray[np.float64]) -> EffectSize:
    """Return how large the difference of two models on the same items [n] is (Cohen 1988, Statistical Power Analysis).

    Cohen calls a g of 0.05 small, 0.15 medium and 0.25 large, and a d_z of 0.2, 0.5 and 0.8.

    Examples
    --------
    >>> paired_effect_size(np.array([1.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])).g.__round__(3)
    0.167
    """
    items = item_differences(correct_a, correct_b)
    differ = items[items != 0]
    spread = float(items.std(ddof=1)) if len(items) > 1 else 0.0
    d_z = float(items.mean()) / spread if spread > 0 else 0.0
    return EffectSize(d_z, float(np.mean(differ > 0)) - 0.5 if len(differ) else 0.0)


def _mcnemar_p(items: NDArray[np.float64], alternative: Alternative) -> float:
    """Return the p of the exact binomial test that differences [n] above and below 0 are equally likely."""
    from scipy import stats

    better, worse = int((items > 0).sum()), int((items < 0).sum())
    if not better + worse:
        return 1.0
    return float(stats.binomtest(better, better + worse, 0.5, alternative=alternative).pvalue)
