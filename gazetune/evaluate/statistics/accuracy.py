"""The interval of one accuracy.

`scipy.stats.binomtest(k, n).proportion_ci("wilson")` takes a whole number of successes, and ties make halves. Without
ties both are equal; a test holds that. The quantile is that of the standard library: workers that train ask for this
interval alone, and `scipy.stats` takes seconds to import.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


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
