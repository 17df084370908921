"""Means by subset, from which most published scores are made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def average_subsets(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the mean of the values of each subset, in the order in which subsets come first.

    Examples
    --------
    >>> average_subsets([("chat", 1.0), ("code", 0.0), ("chat", 0.0)])
    {'chat': 0.5, 'code': 0.0}
    """
    gathered: dict[str, list[float]] = {}
    for subset, value in values:
        gathered.setdefault(subset, []).append(value)
    return {subset: float(np.mean(each)) for subset, each in gathered.items()}


def weighted_mean(means: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the mean of those that are there, by their weights; NaN where none is.

    Examples
    --------
    >>> weighted_mean({"a": 1.0, "b": 0.0}, {"a": 3, "b": 1, "c": 9})
    0.75
    """
    there = {name: weight for name, weight in weights.items() if not math.isnan(means.get(name, math.nan))}
    total = sum(there.values())
    return sum(means[name] * weight for name, weight in there.items()) / total if total else math.nan


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of the values that are no NaN; NaN where none is.

    Examples
    --------
    >>> mean_of_known([1.0, float("nan"), 0.0])
    0.5
    """
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
