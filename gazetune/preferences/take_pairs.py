"""From the rows of a split to the pairs that are taken of it; what is left out and what is noticed is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gazetune.config import DataConfig
from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import RowError

CountCharacters = Callable[[PreferencePair], int]
"""Counts the characters of both chats of a pair; raises a `RowError` for one that the chat template refuses."""

SeenTexts = dict[tuple[tuple[Message, ...], str, str], str]
"""Prompt, chosen and rejected reply of pairs, and the file that each one was first found in."""


class ReadCounts(NamedTuple):
    """What was left out, by reason, and what a user should know of the rest, with the number of rows or pairs."""

    dropped: Counter[str]
    notes: Counter[str]
    reading: SourceReading
    """Where bad rows are counted."""


def start_reading(config: DataConfig) -> SourceReading:
    """Return how the rows of a config's source are read, with nothing counted yet."""
    return SourceReading(
        config.invert_oasst1,
        single_prompts=config.prompts == "single",
        drop_bad_rows=config.on_bad_row == "drop",
        group_column=config.group,
    )


def take_pairs(
    stream: Iterable[PreferencePair | Dropped],
    config: DataConfig,
    counts: ReadCounts,
    seen: SeenTexts,
    count: CountCharacters,
) -> Iterator[PreferencePair]:
    """Yield the first `config.pairs` pairs without those over `config.max_chars`, and count what falls out.

    `seen` has the texts of the pairs of the same split before them.
    """
    taken = 0
    for item in stream:
        if isinstance(item, Dropped):
            counts.dropped[item.reason] += not item.bad
            continue
        try:
            is_too_long = config.max_chars is not None and count(item) > config.max_chars
        except RowError as error:
            counts.reading.take_bad_pair(error)
            continue
        if is_too_long:
            counts.dropped["longer than max_chars"] += 1
        elif is_second_copy(item, counts, seen):
            continue
        else:
            yield item
        taken += 1
        if taken == config.pairs:
            return


def is_second_copy(pair: PreferencePair, counts: ReadCounts, seen: SeenTexts) -> bool:
    """Tell whether another file has the same pair, and count such pairs; remember the texts of a pair that is new.

    A pair that one file holds twice stays: whoever made the file may have wanted it to weigh more.
    """
    texts = (pair.prompt, pair.chosen, pair.rejected)
    file = pair.origin.rpartition(":")[0]
    if texts not in seen:
        seen[texts] = file
        if (pair.prompt, pair.rejected, pair.chosen) in seen:
            counts.notes["a pair is there the other way round, too"] += 1
        return False
    if seen[texts] == file:
        counts.notes["a pair is the same as an earlier one of its file"] += 1
        return False
    counts.dropped["same as a pair of another file"] += 1
    return True


def count_characters(pair: PreferencePair) -> int:
    """Return the characters of both chats together."""
    return 2 * sum(len(message.content) for message in pair.prompt) + len(pair.chosen) + len(pair.rejected)
