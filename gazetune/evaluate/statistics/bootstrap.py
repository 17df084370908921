"""The bootstrap of a mean over items that come in groups.

Pairs of one prompt are alike, so whole prompts are drawn, with all their pairs. `scipy.stats.bootstrap` draws items,
10,000 times n of them, knows no groups, and ends with NaN where all items are equal. Here groups that are alike (the
same number of items, the same sum) are counted once: a resample is one multinomial draw of their counts. That is the
same distribution, at a cost that depends on how many different groups there are and not on n. Without groups an item's
difference of correctness takes at most five values. A test compares both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_BLOCK = 4_000_000
"""Counts that are drawn at a time: 32 MB."""


@dataclass(frozen=True)
class GroupedItems:
    """The items of a mean, summed by group."""

    sums: NDArray[np.float64]
    """[g] of the items of each group."""
    sizes: NDArray[np.float64]
    """[g] items of each group."""

    @property
    def mean(self) -> float:
        """Of the items."""
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def deviations(self) -> NDArray[np.float64]:
        """[g], what each group adds to the error of the mean, times the number of items; they add up to 0."""
        deviations: NDArray[np.float64] = self.sums - self.mean * self.sizes
        return deviations

    @property
    def standard_error(self) -> float:
        """Of the mean, robust to groups (Liang and Zeger 1986, Biometrika 73:13-22); NaN for one group."""
        count = len(self.sums)
        if count < 2:
            return float("nan")
        return float(np.sqrt((self.deviations**2).sum() * count / (count - 1)) / self.sizes.sum())


def group_items(items: NDArray[np.float64], groups: Sequence[object] | NDArray[np.generic] | None) -> GroupedItems:
    """Return items [n] summed by group; `groups` names that of each item, None makes each item one of its own.

    Raises
    ------
    ValueError
        For no items, NaN, or another number of groups than items.

    Examples
    --------
    >>> found = group_items(np.array([1.0, 0.0, 1.0]), ["a", "b", "a"])
    >>> found.sums.tolist(), found.sizes.tolist()
    ([2.0, 0.0], [2.0, 1.0])
    """
    if len(items) == 0:
        raise ValueError("a paired comparison needs at least one item, got none")
    if np.isnan(items).any():
        raise ValueError(f"item {int(np.flatnonzero(np.isnan(items))[0])} is NaN")
    if groups is None:
        return GroupedItems(items, np.ones(len(items)))
    if len(groups) != len(items):
        raise ValueError(f"each item needs a group, got {len(items)} items and {len(groups)} groups")
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    return GroupedItems(np.bincount(member, weights=items).astype(np.float64), np.bincount(member).astype(np.float64))


def resample_means(items: GroupedItems, rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """Return the means [resamples] of as many groups as there are, drawn with replacement."""
    # A complex number holds the two: `unique` over rows takes many times as long.
    different, counts = np.unique(items.sums + 1j * items.sizes, return_counts=True)
    kinds = np.stack([different.real, different.imag], axis=1)
    groups, share = len(items.sums), counts / len(items.sums)
    rows = max(1, _BLOCK // len(kinds))
    drawn = [
        rng.multinomial(groups, share, size=min(rows, resamples - start)) @ kinds for start in range(0, resamples, rows)
    ]
    totals = np.concatenate(drawn)
    means: NDArray[np.float64] = totals[:, 0] / totals[:, 1]
    return means


def bca_interval(items: GroupedItems, level: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the bias-corrected and accelerated bootstrap interval of the mean (Efron 1987, JASA 82:171-185).

    Where all groups are alike the interval is one point.
    """
    from scipy.special import ndtr, ndtri

    mean, deviations = items.mean, items.deviations
    if np.allclose(deviations, 0.0, atol=1e-12):
        return mean, mean
    means = resample_means(items, rng, RESAMPLES)
    # The observed mean is itself a point of the lattice that the resampled means lie on: count it half.
    below = np.mean(means < mean - 1e-12) + 0.5 * np.mean(np.abs(means - mean) <= 1e-12)
    bias = float(ndtri(np.clip(below, 1.0 / RESAMPLES, 1.0 - 1.0 / RESAMPLES)))
    # The deviations are proportional to what the jackknife over groups gives for a mean.
    acceleration = float((deviations**3).sum() / (6.0 * (deviations**2).sum() ** 1.5))
    tails = ndtri([0.5 - level / 2.0, 0.5 + level / 2.0]) + bias
    levels = ndtr(bias + tails / (1.0 - acceleration * tails))
    low, high = np.quantile(means, levels)
    return float(low), float(high)
