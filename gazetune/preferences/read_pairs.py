"""Pairs of a source for commands that look at their texts: all of them, or the one at a row."""

from __future__ import annotations

from collections.abc import Iterable

from gazetune.errors import InputError
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_splits import read_source_splits


def read_pairs(source: str) -> list[PreferencePair]:
    """Return the pairs of all splits of `data.source`, without the rows that give none.

    Raises
    ------
    InputError
        If the source cannot be read.
    """
    return [item for rows in read_source_splits(source).values() for item in rows if isinstance(item, PreferencePair)]


def read_pair_at(place: str) -> PreferencePair:
    """Return the preference pair at `FILE:ROW`, rows counted from 1 as in error lines.

    Raises
    ------
    InputError
        When the place is none, the file cannot be read as far as the row, or no pair comes from the row.
    """
    name, _, row = place.rpartition(":")
    if not name or not row.isdecimal() or int(row) < 1:
        raise InputError(f"--pair: '{place}'; accepted: FILE:ROW, with rows counted from 1")
    last = 0
    for items in read_source_splits(name).values():
        for item in items:
            last = int(item.origin.rpartition(":")[2])
            if last != int(row):
                continue
            if isinstance(item, PreferencePair):
                return item
            raise InputError(f"{item.origin}: gives no pair ({item.reason})")
    raise InputError(f"--pair: {name} has no row {row}; the last one is {last}")


def list_messages(pairs: Iterable[PreferencePair]) -> list[str]:
    """Return every distinct text of the pairs: replies first, since those are what is read most.

    Examples
    --------
    >>> from gazetune.preferences.pair import Message
    >>> pair = PreferencePair((Message("user", "Why?"),), chosen="So.", rejected="No.", group="1", origin="a.jsonl:1")
    >>> list_messages([pair, pair])
    ['So.', 'No.', 'Why?']
    """
    pairs = list(pairs)
    replies = [reply for pair in pairs for reply in (pair.chosen, pair.rejected)]
    return list(dict.fromkeys(replies + [message.content for pair in pairs for message in pair.prompt]))
