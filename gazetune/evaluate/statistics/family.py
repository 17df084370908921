"""Several comparisons at once: p values that are corrected for how many there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def adjust_holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Holm's adjusted p values [k] (Holm 1979, Scandinavian Journal of Statistics 6:65-70), which scipy lacks.

    Claiming those at most 0.05 makes one wrong claim or more in at most 5 % of families, however the tests depend on
    each other.

    Raises
    ------
    ValueError
        For a p outside 0..1 or NaN.

    Examples
    --------
    >>> adjust_holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = _checked(p_values)
    order = np.argsort(values, kind="stable")
    scaled = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(scaled, 1.0)
    return adjusted


def adjust_benjamini_hochberg(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return adjusted p values [k] by Benjamini and Hochberg (1995, JRSS B 57:289-300), as scipy has them.

    Of the claims at most 0.05, 5 % are wrong on average, for tests that are independent or depend positively.

    Raises
    ------
    ValueError
        For a p outside 0..1 or NaN.

    Examples
    --------
    >>> adjust_benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    values = _checked(p_values)
    if not len(values):
        return values
    from scipy import stats

    return np.asarray(stats.false_discovery_control(values, method="bh"), dtype=np.float64)


def _checked(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(p_values, dtype=np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise ValueError(f"p value {int(np.flatnonzero(wrong)[0])} is {values[wrong][0]}, not within 0 and 1")
    return values
