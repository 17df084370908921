"""Two arms, each trained with several seeds and scored on the same items.

Another seed gives another model, and other items another accuracy. An interval over items alone says nothing of other
seeds; it is far too narrow where seeds differ. Here the errors of both levels are added: whole prompts are resampled of
the differences that are averaged over seeds, and seeds of their mean differences. Three seeds cannot be resampled for a
quantile (they give ten different samples), so the interval has the half width t x error, with the degrees of freedom
of Satterthwaite (1946, Biometrics Bulletin 2:110-114).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.evaluate.statistics.bootstrap import group_items, resample_means
from gazetune.evaluate.statistics.paired import Groups

FEWEST_SEEDS = 3
"""With two seeds nobody knows how much seeds differ."""
FEWEST_SEEDS_FOR_P = 8
"""With fewer, the spread of seeds is known too badly for a p that anybody should quote."""

_RESAMPLES = 1_000
"""A standard error takes fewer resamples than a quantile: 200 do (Efron and Tibshirani 1993, section 6.4)."""


@dataclass(frozen=True, slots=True)
class SeedsDifference:
    """How much more often arm a is right than arm b, for items and seeds other than these."""

    difference: float
    """Mean over seeds and items."""
    low: float
    high: float
    """Ends of the interval over items and seeds. How often it covers the truth is in docs/statistics.md."""
    by_seed: tuple[float, ...]
    """The mean difference of each seed."""
    item_error: float
    seed_error: float
    """Standard errors of the difference for other items and for other seeds."""
    p: float | None
    """Two-sided p of the t-test that belongs to the interval; None below `FEWEST_SEEDS_FOR_P` seeds."""


def paired_difference_over_seeds(
    correct_a: NDArray[np.float64],
    correct_b: NDArray[np.float64],
    level: float = 0.95,
    seed: int = 0,
    groups: Groups = None,
) -> SeedsDifference:
    """Compare two arms over items and seeds.

    Parameters
    ----------
    correct_a, correct_b
        [seeds, n] each, of 0, 1/2 or 1: row s of both was trained with the same seed, column i of both is about one
        preference pair.
    level
        Nominal coverage, in (0, 1).
    seed
        Of the resampling.
    groups
        [n], the prompt of each item: whole prompts are resampled.

    Raises
    ------
    ValueError
        For fewer than 3 seeds, no items, arrays of different shapes, or NaN.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.random((3, 400)) < 0.8, rng.random((3, 400)) < 0.6
    >>> found = paired_difference_over_seeds(a, b)
    >>> 0.1 < found.low < found.difference < found.high < 0.35, len(found.by_seed), found.p
    (True, 3, None)
    """
    if np.shape(correct_a) != np.shape(correct_b) or np.ndim(correct_a) != 2:
        raise ValueError(f"arms need the same seeds and items, got {np.shape(correct_a)} and {np.shape(correct_b)}")
    differences = np.asarray(correct_a, dtype=np.float64) - np.asarray(correct_b, dtype=np.float64)
    seeds = len(differences)
    if seeds < FEWEST_SEEDS:
        raise ValueError(f"an interval over seeds needs at least {FEWEST_SEEDS} seeds, got {seeds}")
    items = group_items(differences.mean(axis=0), groups)
    by_seed = differences.mean(axis=1)
    item_error = float(resample_means(items, np.random.default_rng(seed), _RESAMPLES).std(ddof=1))
    # What resampling seeds gives, in closed form, and made larger by s / (s - 1), as s seeds vary less than all do.
    seed_error = float(by_seed.std(ddof=1)) / math.sqrt(seeds)
    error, freedom = _add_errors(item_error, len(items.sums), seed_error, seeds)
    from scipy import stats

    half = float(stats.t.ppf(0.5 + level / 2.0, freedom)) * error
    p = float(2 * stats.t.sf(abs(items.mean) / error, freedom)) if error > 0 else float(items.mean == 0)
    return SeedsDifference(
        items.mean,
        items.mean - half,
        items.mean + half,
        tuple(by_seed.tolist()),
        item_error,
        seed_error,
        p if seeds >= FEWEST_SEEDS_FOR_P else None,
    )


def _add_errors(item_error: float, groups: int, seed_error: float, seeds: int) -> tuple[float, float]:
    """Return the standard error for other items and other seeds, and its degrees of freedom."""
    variance = item_error**2 + seed_error**2
    if variance == 0.0:
        return 0.0, float(seeds - 1)
    freedom = variance**2 / (item_error**4 / max(1, groups - 1) + seed_error**4 / (seeds - 1))
    return math.sqrt(variance), freedom
