"""Train and validation divided anew: other indices into the prepared arrays, and no text is encoded again.

prepared        train.*.npy                      validation.*.npy
joined          pairs of train, then pairs of validation, as one array that is read where it lies
fold 2 of 4     validation: the pairs of part 2;  train: those of parts 1, 3 and 4
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.reward.layout.batching import EncodedSplit


def divide_into_folds(groups: Sequence[str] | NDArray[np.str_], folds: int, seed: int) -> NDArray[np.int64]:
    """Return for each pair [n] its fold, 0 to `folds` - 1; pairs of a group are in one fold.

    Groups are taken in the order of a hash of `seed` and their name, each into the fold with the fewest pairs so far.
    So folds are about equally large, and the order of the pairs changes nothing.

    Raises
    ------
    InputError
        When there are fewer groups than folds.

    Examples
    --------
    >>> divide_into_folds(["a", "a", "b", "c"], folds=2, seed=0).tolist()
    [1, 1, 0, 0]
    """
    sizes = Counter(str(group) for group in groups)
    if len(sizes) < folds:
        raise InputError(
            f"{folds} folds need as many prompts outside test, and there are {len(sizes)}; accepted: fewer folds"
        )
    ordered = sorted(sizes, key=lambda group: _hash_group(seed, group))
    filled = [0] * folds
    fold_of: dict[str, int] = {}
    for group in ordered:
        fold_of[group] = filled.index(min(filled))
        filled[fold_of[group]] += sizes[group]
    return np.array([fold_of[str(group)] for group in groups], dtype=np.int64)


def _hash_group(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}\nconfirmation fold\n{group}".encode()).digest()


class JoinedRows:
    """Two arrays read as one, the second after the first; neither is copied."""

    def __init__(self, first: NDArray[np.generic], second: NDArray[np.generic]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> NDArray[np.generic]:
        """Return the rows with these indices, or those of a slice that has both ends."""
        if isinstance(rows, slice):
            rows = np.arange(rows.start, rows.stop)
        found = np.empty(rows.shape, self._first.dtype)
        is_second = rows >= len(self._first)
        found[~is_second] = self._first[rows[~is_second]]
        found[is_second] = self._second[rows[is_second] - len(self._first)]
        return found


def join_splits(first: EncodedSplit, second: EncodedSplit, chosen: NDArray[np.int64]) -> EncodedSplit:
    """Return the pairs `chosen` of two splits of one data set, those of the second counted on from the first."""

    def join(name: str) -> NDArray[np.int32]:
        return cast("NDArray[np.int32]", JoinedRows(getattr(first, name), getattr(second, name)))

    def join_starts(name: str) -> NDArray[np.int64]:
        before, after = getattr(first, name), getattr(second, name)
        return np.concatenate([before, after[1:] + before[-1]])

    return EncodedSplit(
        ids=join("ids"),
        token_unit=join("token_unit"),
        token_share=cast("NDArray[np.float32]", JoinedRows(first.token_share, second.token_share)),
        token_starts=join_starts("token_starts"),
        unit_index=join("unit_index"),
        unit_starts=join_starts("unit_starts"),
        scores=np.concatenate([first.scores, second.scores])[chosen],
        values=first.values,
        pad_token=first.pad_token,
        chosen=chosen,
    )
