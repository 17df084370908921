"""From the name in `data.source` to the pairs of each split that the source has.

A name is a file, a folder whose files are named after their splits, or the hub id of a registered data set:

    name     what exists on disk         ->  rows of the file  ->  pairs, by the format that its columns show
             a registered hub id         ->  rows by `datasets`  ->  pairs, by the format registered under the id

The split names are those of the source; `gazetune.preferences.splits` decides what is train, validation and test.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from gazetune.errors import InputError, did_you_mean
from gazetune.files.paths import path_exists
from gazetune.preferences.own_pairs import read_own_pairs
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_files import find_split_files
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.sources.registry import SOURCE_FORMATS, Dropped, SourceFormat, recognise_format
from gazetune.preferences.sources.rows import SUFFIXES, Row, RowError, read_rows
from gazetune.preferences.split_names import file_suffix

PairStream = Iterator[PreferencePair | Dropped]


def read_source_splits(name: str, reading: SourceReading | None = None) -> dict[str, PairStream]:
    """Return the pairs of each split of `data.source`, read lazily: a file, a folder, or a registered hub id.

    What exists on disk goes before a hub id of the same spelling.

    Parameters
    ----------
    reading
        How rows are read, and where what is seen of them is counted; by default a bad row is refused.

    Raises
    ------
    InputError
        For a missing or unreadable file, an unknown id or an unreachable hub; while reading, for a bad row.
    """
    reading = SourceReading() if reading is None else reading
    path = Path(os.path.expanduser(name))
    if path_exists(path):
        return _read_local_splits(path, reading)
    known = ["planted", *SOURCE_FORMATS]
    if name in SOURCE_FORMATS:
        files = [f"a path to a {', '.join(SUFFIXES)} file"]
        splits = read_hub_rows(name, known + files)
        return {split: _convert_rows(rows, SOURCE_FORMATS[name], reading) for split, rows in splits.items()}
    if file_suffix(name) is not None or name.startswith((".", "/", "~")):
        raise InputError(f"data.source: there is no file '{name}'; accepted: a path to a {', '.join(SUFFIXES)} file")
    raise InputError(
        f"data.source: '{name}' is neither a file nor a supported data set; {did_you_mean(name, known)} "
        f"(or a path to a {', '.join(SUFFIXES)} file)"
    )


def read_hub_rows(name: str, accepted: Iterable[str]) -> dict[str, Iterator[Row]]:
    """Return the rows of each split of the data set `name`, downloaded or taken from the cache by `datasets`.

    Parameters
    ----------
    name
        A hub id, or a folder with the same layout.
    accepted
        What the line of an error offers instead.

    Raises
    ------
    InputError
        When the hub cannot be reached or has no such data set.
    """
    # Imported here: it takes a second, and only hub ids need it.
    import datasets

    try:
        splits = datasets.load_dataset(name)
    # `datasets` lets through errors of the hub client, the HTTP library and the file readers, with no common base.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise InputError(
            f"data.source: '{name}' cannot be loaded from the hub ({reason}); accepted: {', '.join(accepted)}"
        ) from error
    return {str(split): _number_rows(f"{name}/{split}", splits[split]) for split in splits}


def _number_rows(origin: str, table: Iterable[Mapping[str, object]]) -> Iterator[Row]:
    for number, values in enumerate(table, start=1):
        yield Row(f"{origin}:{number}", values)


def _read_local_splits(path: Path, reading: SourceReading) -> dict[str, PairStream]:
    """Return the pairs of each split of a file (one split, `train`) or of a folder."""
    if path.is_dir():
        return {name: _read_pairs(files, reading) for name, files in find_split_files(path).items()}
    if file_suffix(path.name) is None:
        raise InputError(f"data.source: '{path}' has an unknown file type; accepted: {', '.join(SUFFIXES)}")
    return {"train": _read_pairs([path], reading)}


def _read_pairs(files: Sequence[Path], reading: SourceReading) -> PairStream:
    """Yield the pairs of the files of one split: by the rules of the data set that they are a copy of, else strictly.

    The rows of all files of a published format are converted as one table: a conversation tree, or the replies to one
    prompt, may stand in several files.
    """
    by_format: dict[SourceFormat | None, list[Path]] = {}
    for file in files:
        by_format.setdefault(recognise_format(_first_row(file, reading)), []).append(file)
    for known, members in by_format.items():
        rows = itertools.chain.from_iterable(read_rows(file, reading.take_bad_row) for file in members)
        yield from _convert_rows(rows, known, reading)


def _first_row(file: Path, reading: SourceReading) -> Row:
    """Return the first row of a file that can be read; nothing is counted yet."""
    bad: list[RowError] = []
    first = next(read_rows(file, bad.append if reading.drop_bad_rows else reading.take_bad_row), None)
    if first is None and bad:
        raise bad[0]
    if first is None:
        raise InputError(f"{file}: the file is empty; accepted: one preference pair a row")
    return first


def _convert_rows(rows: Iterable[Row], known: SourceFormat | None, reading: SourceReading) -> PairStream:
    """Yield the pairs of rows: of a published format by its rules, and of a user's own file (None) strictly."""
    if known is None:
        return read_own_pairs(rows, reading)
    if reading.group_column is not None:
        raise InputError(
            f"data.group: {reading.group_column}: pairs of {known.name} are divided by its own prompts and "
            "conversations; accepted: null, or a file of your own"
        )
    return known.choose_converter(reading.invert_oasst1, reading.single_prompts)(_readable_rows(rows, known, reading))


def _readable_rows(rows: Iterable[Row], known: SourceFormat, reading: SourceReading) -> Iterator[Row]:
    """Yield the rows that the converter of a published format can read; the others are refused or counted."""
    for row in rows:
        try:
            labels = [key for key in ("chosen", "rejected") if known.columns and row.has_value(key)]
            if labels:
                reason = f"key '{labels[0]}' beside the columns of {known.name}, which earlier rows do not have"
                raise RowError(row.origin, reason)
            if known.check is not None:
                known.check(row)
        except RowError as error:
            reading.take_bad_row(error)
        else:
            reading.good += 1
            yield row
