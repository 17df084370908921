"""The pairs of a user's own file, in which every row must give one, and what of the file is not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gazetune.errors import did_you_mean
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.sources.messages import has_later_turns
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import Row, RowError, abbreviate_value
from gazetune.preferences.sources.shapes import READ_COLUMNS, find_prompt_column, pair_from_row

CHANGE_MEANING = frozenset(
    (
        *("tools", "functions", "documents", "chat_template_kwargs", "history", "context", "input"),
        *("images", "image", "videos", "video", "audios", "audio"),
        *("label", "labels", "preference", "preferred", "winner", "better"),
    )
)
"""Columns that are not read, and on which it may depend which reply is the better one."""


def read_own_pairs(rows: Iterable[Row], reading: SourceReading | None = None) -> Iterator[PreferencePair | Dropped]:
    """Yield the pair of each row of a user's own file; `Dropped` for a bad row where `reading` drops those.

    Raises
    ------
    InputError
        At the first row that gives no pair, with its `file:row`, where bad rows are not dropped.
    """
    reading = SourceReading() if reading is None else reading
    for row in rows:
        try:
            item = pair_from_row(row)
            if isinstance(item, Dropped):
                raise RowError(item.origin, item.reason)
            if reading.group_column is not None:
                item = replace(item, group=_read_group(row, reading.group_column))
        except RowError as error:
            reading.take_bad_row(error)
            yield Dropped(row.origin, error.reason, bad=True)
        else:
            reading.good += 1
            _note_what_is_not_read(row, item, reading)
            yield item


def _read_group(row: Row, column: str) -> str:
    """Return the name of the group that `data.group` puts the pair of a row into.

    Raises
    ------
    RowError
        When the column is not there, or has no text and no whole number.
    """
    if column not in row.values:
        there = f"; {did_you_mean(column, [str(name) for name in row.values])}"
        raise RowError(row.origin, f"data.group: there is no column '{column}'", there)
    value = row.values[column]
    is_name = (isinstance(value, str) and bool(value.strip())) or type(value) is int
    if not is_name:
        got = f", got {abbreviate_value(value)}; accepted: text or a whole number"
        raise RowError(row.origin, f"data.group: column '{column}' names no group", got)
    return f"{column}={value}"


def _note_what_is_not_read(row: Row, pair: PreferencePair, reading: SourceReading) -> None:
    prompt_column = find_prompt_column(row)
    for column in row.values:
        if column in READ_COLUMNS or column in (prompt_column, reading.group_column) or not row.has_value(column):
            continue
        if column.lower() in CHANGE_MEANING:
            reading.notes[f"column '{column}' is not read, though it may decide which reply is better"] += 1
        else:
            reading.unread_columns[" ".join(column.splitlines())] += 1
    prompt = row.values.get(prompt_column) if prompt_column is not None else None
    if isinstance(prompt, str):
        if has_later_turns(prompt):
            reading.notes["'Human:' and 'Assistant:' stand within a prompt that is read as one message"] += 1
        if prompt.strip() and pair.chosen.startswith(prompt) and pair.rejected.startswith(prompt):
            reading.notes["both replies begin with the prompt, which is read as a part of them"] += 1
