"""The pairs of a source on which a saved model is evaluated: all of them, or a published test split, undivided."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gazetune.config import DataConfig
from gazetune.errors import InputError
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.planted import make_planted_data
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.source_splits import read_source_splits
from gazetune.preferences.split_names import choose_scored_splits
from gazetune.preferences.splits import PLANTED_PAIRS
from gazetune.preferences.take_pairs import (
    CountCharacters,
    ReadCounts,
    SeenTexts,
    count_characters,
    start_reading,
    take_pairs,
)


class PairsToScore(NamedTuple):
    """All that a source has to evaluate a saved model on."""

    pairs: list[PreferencePair]
    which: str
    """What of the source they are."""
    dropped: dict[str, int]
    notes: dict[str, int]
    reading: SourceReading
    """How the rows were read; as `Splits.reading`."""


def load_pairs_to_score(config: DataConfig, count: CountCharacters | None = None) -> PairsToScore:
    """Read every pair of a file, or the published test split of a source that has one; nothing is divided.

    `config.split` chooses among the splits of the source; `config.pairs` and `config.max_chars` leave pairs out, by the
    characters that `count` finds (default: of the contents).

    Raises
    ------
    InputError
        For a source that cannot be read, or that has no pair.
    """
    reading = start_reading(config)
    counts = ReadCounts(Counter(), Counter(), reading)
    if config.source == "planted":
        pairs = list(make_planted_data(config.pairs or PLANTED_PAIRS, config.seed).pairs)
        return PairsToScore(pairs, "all", {}, {}, reading)
    streams = read_source_splits(config.source, reading)
    names = choose_scored_splits(list(streams), config.source, config.split)
    seen: SeenTexts = {}
    count = count or count_characters
    pairs = [pair for name in names for pair in take_pairs(streams[name], config, counts, seen, count)]
    reading.check_bad_rows(config.max_bad_rows)
    counts.dropped.update(reading.bad)
    dropped = {reason: count for reason, count in counts.dropped.items() if count}
    if not pairs:
        left_out = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "none"
        raise InputError(f"data.source: '{config.source}' gave no pairs to score (left out: {left_out})")
    which = "all" if len(names) == len(streams) else f"split {', '.join(names)}"
    return PairsToScore(pairs, which, dropped, {**reading.list_notes(), **counts.notes}, reading)
