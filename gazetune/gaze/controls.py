"""Controls: measures that carry no information about their text, in place of the real ones; and noise on real ones.

A model with gaze has more inputs and more weights than one without. If it is better with a control, too, its gain does
not come from the measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_NO_SPREAD = 1e-6


def training_statistics(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean and the standard deviation of each measure over the units of the training split.

    Parameters
    ----------
    values
        [units, 5] measures of all training units.

    Returns
    -------
    mean, sd
        [5] each, in the measures' units. A measure that does not vary, or that there is none of, has sd 1 (and mean 0
        if there is none), so that dividing by it is safe.

    Examples
    --------
    >>> mean, sd = training_statistics(np.array([[10.0, 3.0], [14.0, 3.0]], np.float32))
    >>> mean.tolist(), sd.tolist()
    ([12.0, 3.0], [2.0, 1.0])
    """
    if not len(values):
        return np.zeros(values.shape[1], np.float32), np.ones(values.shape[1], np.float32)
    mean, sd = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    return mean.astype(np.float32), np.where(sd > _NO_SPREAD, sd, 1.0).astype(np.float32)


def add_noise(values: NDArray[np.float32], sd: float, seed: int) -> NDArray[np.float32]:
    """Return measures [units, 5] plus Gaussian noise of standard deviation `sd`, in their units, cut off at 0."""
    if sd == 0:
        return values
    noise = np.random.default_rng(seed).normal(0.0, sd, values.shape)
    return np.maximum(values + noise, 0.0).astype(np.float32)


def apply_control(
    kind: Literal["none", "shuffled", "noise", "constant"],
    values: NDArray[np.float32],
    offsets: NDArray[np.int64],
    split_rows: Mapping[str, NDArray[np.int64]],
    train_rows: NDArray[np.int64],
    seed: int,
) -> NDArray[np.float32]:
    """Return the measures that stand in for `values` under a control, [units, 5].

    - `shuffled`: the unit vectors of another text of the same split, repeated or cut to the text's length. Every text
      with units gets another's, unless it is the only such text of its split.
    - `noise`: each measure of each unit is drawn by itself from the measure's values in the training split.
    - `constant`: the training means.

    Parameters
    ----------
    values
        [units, 5] measures of all texts, one text after another.
    offsets
        [texts + 1]; the units of text i are offsets[i]:offsets[i + 1].
    split_rows
        Split name to the indices of its texts. A text in several splits is shuffled within the first one. Texts in no
        split form one of their own.
    train_rows
        Indices of the texts of the training split.
    seed
        Same seed, same result. `values` is returned as it is for `none`.

    Raises
    ------
    ValueError
        For an unknown kind, or `noise` or `constant` with no unit in the training split.

    Examples
    --------
    >>> values = np.array([[1.0], [2.0], [7.0]], np.float32)  # two texts, of two units and of one
    >>> split = {"train": np.array([0, 1])}
    >>> apply_control("shuffled", values, np.array([0, 2, 3]), split, split["train"], seed=0).tolist()
    [[7.0], [7.0], [1.0]]
    """
    if kind == "none":
        return values
    if kind == "shuffled":
        return _shuffle_between_texts(values, offsets, split_rows, seed)
    train = values[_units_of(train_rows, offsets)]
    if not len(train):
        raise ValueError(f"gaze.control '{kind}' needs measures in the training split, and it has none")
    if kind == "constant":
        return np.broadcast_to(training_statistics(train)[0], values.shape).copy()
    if kind == "noise":
        drawn = np.random.default_rng(seed).integers(0, len(train), size=values.shape)
        return np.take_along_axis(train, drawn, axis=0)
    raise ValueError(f"kind must be none, shuffled, noise or constant, got {kind!r}")


def _shuffle_between_texts(
    values: NDArray[np.float32], offsets: NDArray[np.int64], split_rows: Mapping[str, NDArray[np.int64]], seed: int
) -> NDArray[np.float32]:
    texts = len(offsets) - 1
    counts = np.diff(offsets)
    generator = np.random.default_rng(seed)
    free = counts > 0  # a text without units can neither give nor take
    donor = np.arange(texts)
    for rows in (*split_rows.values(), np.arange(texts)):
        members = np.unique(np.asarray(rows, dtype=np.int64))
        members = generator.permutation(members[free[members]])
        donor[members] = np.roll(members, 1)  # one cycle through all: nobody is its own donor
        free[members] = False
    own = np.repeat(np.arange(texts), counts)
    position = np.arange(len(values)) - offsets[own]
    return values[offsets[donor[own]] + position % counts[donor[own]]]


def _units_of(rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which units belong to the texts `rows`, [units]."""
    chosen = np.zeros(len(offsets) - 1, dtype=bool)
    chosen[rows] = True
    return np.repeat(chosen, np.diff(offsets))
