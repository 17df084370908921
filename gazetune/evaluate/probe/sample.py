"""The pairs that the probe looks at: of train and validation, so that test stays unseen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gazetune.config import DataConfig
from gazetune.preferences.grouping import link_groups
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import load_splits


class KnownPairs(NamedTuple):
    """Pairs of train and validation."""

    total: int
    """How many there are; the probe may look at fewer."""
    pairs: list[PreferencePair]
    groups: list[str]
    """The group of each pair."""
    dropped: dict[str, int]
    """Pairs of the source that were left out, by reason."""
    notes: dict[str, int]
    """What else is to be known of the rows that were read, and of how many."""


def draw_known_pairs(config: DataConfig, most: int) -> KnownPairs:
    """Return at most `most` pairs of train and validation, drawn by `config.seed`, in the order of the source.

    Raises
    ------
    InputError
        As `load_splits`.
    """
    splits = load_splits(config)
    pairs = [*splits.train, *splits.validation]
    groups = link_groups(pairs)
    rows = draw_rows(len(pairs), most, config.seed)
    drawn = [pairs[row] for row in rows], [groups[row] for row in rows]
    return KnownPairs(len(pairs), *drawn, splits.dropped, splits.notes)


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
