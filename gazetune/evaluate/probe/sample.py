"""The pairs that the probe looks at: of train and validation, so that test stays unseen."""

from __future__ import annotations

import numpy as np

from gazetune.config import DataConfig
from gazetune.preferences.grouping import link_groups
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import load_splits


def draw_known_pairs(config: DataConfig, most: int) -> tuple[int, list[PreferencePair], list[str]]:
    """Return how many pairs train and validation have, at most `most` of them, and the group of each of these.

    They are drawn by `config.seed` and stay in the order of the source.

    Raises
    ------
    InputError
        As `load_splits`.
    """
    splits = load_splits(config)
    pairs = [*splits.train, *splits.validation]
    groups = link_groups(pairs)
    rows = draw_rows(len(pairs), most, config.seed)
    return len(pairs), [pairs[row] for row in rows], [groups[row] for row in rows]


def draw_rows(count: int, most: int, seed: int) -> list[int]:
    """Return all numbers below `count`, or `most` of them that `seed` draws, in their order.

    Examples
    --------
    >>> draw_rows(3, most=5, seed=0), len(draw_rows(100, most=5, seed=0))
    ([0, 1, 2], 5)
    """
    if count <= most:
        return list(range(count))
    return sorted(np.random.default_rng(seed).choice(count, most, replace=False).tolist())
