"""Pairs of a source for commands that look at their texts: all of them, or the one at a row."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gazetune.errors import InputError
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.source_splits import read_source_splits

_log = logging.getLogger(__name__)

_LARGEST_BAD_SHARE = 0.1


def read_pairs(source: str) -> list[PreferencePair]:
    """Return the pairs of all splits of `data.source`; rows that give none are left out and told.

    Raises
    ------
    InputError
        If the source cannot be read, or more than a tenth of its rows give no pair.
    """
    reading = SourceReading(drop_bad_rows=True)
    streams = read_source_splits(source, reading).values()
    pairs = [item for rows in streams for item in rows if isinstance(item, PreferencePair)]
    reading.check_bad_rows(_LARGEST_BAD_SHARE)
    if reading.bad:
        left_out = reading.bad.total()
        _log.warning("%s: %d rows give no pair and are left out; the first: %s", source, left_out, reading.first_bad)
    return pairs


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
    reading = SourceReading(drop_bad_rows=True)
    for items in read_source_splits(name, reading).values():
        for item in items:
            last = int(item.origin.rpartition(":")[2])
            if last != int(row):
                continue
            if isinstance(item, PreferencePair):
                return item
            raise InputError(f"{item.origin}: {item.reason}; this row gives no pair")
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
