"""What describes a reply in the probe: its length, and three summaries of each measure over its units.

All numbers are differences, chosen less rejected, so what both replies share (the prompt and its gaze) is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.evaluate.probe.sample import draw_rows
from gazetune.gaze.measures import GazePredictor
from gazetune.preferences.pair import PreferencePair

if TYPE_CHECKING:
    from gazetune.reward.data.dataset import PreparedData
    from gazetune.reward.layout.batching import EncodedSplit

SUMMARIES = ("mean", "spread", "total")
"""Mean and standard deviation over the units of a reply, and the logarithm of 1 + their sum."""
_BATCH = 256
"""Texts that are predicted at a time."""


@dataclass(frozen=True)
class ProbeItems:
    """n preference pairs as differences of what describes their replies."""

    length: NDArray[np.float64]
    """[n, 2] words and their logarithm, chosen less rejected."""
    measures: NDArray[np.float64]
    """[n, 5, 3] for each measure its `SUMMARIES`, chosen less rejected."""
    groups: NDArray[np.str_]
    """[n] name of what each pair belongs to, its prompt or its reader: never fitted and scored on at once."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.length)


def describe_length(words: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return [n, 2] the differences of words and of their logarithm, from the words of both replies [n, 2].

    Examples
    --------
    >>> describe_length(np.array([[20, 10]])).round(2).tolist()
    [[10.0, 0.69]]
    """
    counts = np.maximum(words.astype(np.float64), 1.0)
    return np.stack([counts[:, 0] - counts[:, 1], np.log(counts[:, 0] / counts[:, 1])], axis=1)


def summarise_measures(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return [5, 3] the `SUMMARIES` of each measure over units [units, 5]; zeros for a text without units.

    Negative sums, which predictors without a bound can have, count as 0.

    Examples
    --------
    >>> summarise_measures(np.array([[1, 0, 0, 3, 0], [3, 0, 0, 3, 0]]))[[0, 3]].round(2).tolist()
    [[2.0, 1.0, 1.61], [3.0, 0.0, 1.95]]
    """
    if not len(values):
        return np.zeros((len(MEASURES), len(SUMMARIES)))
    numbers = values.astype(np.float64)
    total = np.log1p(np.maximum(numbers.sum(axis=0), 0.0))
    return np.stack([numbers.mean(axis=0), numbers.std(axis=0), total], axis=1)


def keep_measures(items: ProbeItems, features: Sequence[str]) -> ProbeItems:
    """Return the same pairs with the measures of a feature mask alone; the others are 0, and so not asked about."""
    kept = np.isin(MEASURES, features)
    return replace(items, measures=items.measures * kept[:, None])


def describe_pairs(pairs: Sequence[PreferencePair], groups: Sequence[str], predictor: GazePredictor) -> ProbeItems:
    """Return what the probe sees of pairs [n], with the measures that `predictor` has for their replies.

    Raises
    ------
    InputError
        If the predictor has no measures for a reply.
    """
    texts = list(dict.fromkeys(reply for pair in pairs for reply in (pair.chosen, pair.rejected)))
    summaries: dict[str, NDArray[np.float64]] = {}
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        for text, gaze in zip(batch, predictor.predict(batch), strict=True):
            summaries[text] = summarise_measures(gaze.word_values(len(text.split())))
    words = np.array([[len(pair.chosen.split()), len(pair.rejected.split())] for pair in pairs], dtype=np.int32)
    measures = np.array([summaries[pair.chosen] - summaries[pair.rejected] for pair in pairs])
    return ProbeItems(describe_length(words), measures, np.asarray(groups, dtype=np.str_))


def describe_prepared(data: PreparedData, most: int, seed: int) -> ProbeItems:
    """Return what the probe sees of at most `most` pairs of a prepared data set's train and validation splits.

    What both texts of a pair begin with, the gaze on their prompt, is left out.
    """
    splits = (data.train, data.validation)
    rows = draw_rows(sum(map(len, splits)), most, seed)
    places = [(0, row) if row < len(data.train) else (1, row - len(data.train)) for row in rows]
    words = np.concatenate([data.response_words(name) for name in ("train", "validation")])
    groups = np.concatenate([data.item_groups(name) for name in ("train", "validation")])
    measures = np.array([_compare_replies(splits[split], row) for split, row in places])
    return ProbeItems(describe_length(words[rows]), measures, groups[rows])


def _compare_replies(split: EncodedSplit, pair: int) -> NDArray[np.float64]:
    """Return [5, 3] the summaries of the chosen less those of the rejected reply."""
    starts = split.unit_starts[2 * pair : 2 * pair + 3]
    chosen, rejected = (split.unit_index[starts[side] : starts[side + 1]] for side in (0, 1))
    length = min(len(chosen), len(rejected))
    differs = np.flatnonzero(chosen[:length] != rejected[:length])
    shared = int(differs[0]) if len(differs) else length
    first, second = (summarise_measures(split.values[each[shared:]]) for each in (chosen, rejected))
    return first - second
