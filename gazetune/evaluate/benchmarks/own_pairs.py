"""Preference pairs as a benchmark: a file of one's own, or the validation split of a published data set.

The score is pairwise accuracy as everywhere in this package: a tie counts one half.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gazetune.errors import InputError
from gazetune.evaluate.accuracy import pair_correctness
from gazetune.evaluate.benchmarks.read_items import BenchmarkRows
from gazetune.evaluate.benchmarks.registry import BenchmarkItem, ItemResult, PublishedScore, ScoringRule
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.source_splits import read_source_splits

PAIR_SOURCES = {"oasst1": "OpenAssistant/oasst1", "helpsteer2": "nvidia/HelpSteer2"}
"""Short name -> hub id of a data set whose validation split is scored."""


class PairAccuracy(ScoringRule):
    """The rule of pairs."""

    def score(self, results: Sequence[ItemResult]) -> PublishedScore:
        """Return the accuracy; see `ScoringRule`."""
        right = pair_correctness(np.array([each.chosen[0] - each.rejected[0] for each in results]))
        return PublishedScore(float(right.mean()), {})


def read_own_pairs(on: str, data: str | None) -> BenchmarkRows:
    """Return the pairs of a file, all of them, or those of the validation split of a published data set.

    Raises
    ------
    InputError
        When they cannot be read, or there is none.
    """
    reading = SourceReading(drop_bad_rows=True)
    splits = read_source_splits(data or PAIR_SOURCES.get(on, on), reading)
    wanted = splits
    if on in PAIR_SOURCES and len(splits) > 1:
        wanted = {name: its for name, its in splits.items() if name == "validation"}
        if not wanted:
            raise InputError(f"{data or on}: has no split 'validation'; it has {', '.join(splits)}")
    found = BenchmarkRows()
    for item in (item for its in wanted.values() for item in its):
        if isinstance(item, PreferencePair):
            pair = BenchmarkItem(item.origin, item.origin, "pairs", item.prompt, (item.chosen,), (item.rejected,))
            found.items.append(pair)
        else:
            found.skipped[item.reason] += 1
            found.first_skipped = found.first_skipped or f"{item.origin}: {item.reason}"
    found.skipped |= reading.bad  # most of these were counted above, too; of each reason the larger number
    found.first_skipped = reading.first_bad or found.first_skipped
    if not found.items:
        raise InputError(f"{on}: has no pairs that can be scored; the first: {found.first_skipped or 'it has no rows'}")
    return found
