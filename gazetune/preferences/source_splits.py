"""From the name in `data.source` to the pairs of each split that the source has.

A name is a file, a folder whose files are named after their splits, or the hub id of a registered data set:

    name     what exists on disk         ->  rows of the file  ->  pairs, by the format that its columns show
             a registered hub id         ->  rows by `datasets`  ->  pairs, by the format registered under the id

The split names are those of the source; `gazetune.preferences.splits` decides what is train, validation and test.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gazetune.errors import InputError, did_you_mean
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.sources.registry import SOURCE_FORMATS, Dropped, recognise_format
from gazetune.preferences.sources.rows import SUFFIXES, Row, read_rows
from gazetune.preferences.sources.shapes import pair_from_row

PairStream = Iterator[PreferencePair | Dropped]

_SHARD = re.compile(r"-\d+-of-\d+$")


def read_source_splits(name: str, invert_oasst1: bool = False) -> dict[str, PairStream]:
    """Return the pairs of each split of `data.source`, read lazily: a file, a folder, or a registered hub id.

    What exists on disk goes before a hub id of the same spelling.

    Parameters
    ----------
    invert_oasst1
        Whether pairs of OASST1 have chosen and rejected change places, as the public code of GazeReward has them.

    Raises
    ------
    InputError
        For a missing or unreadable file, an unknown id or an unreachable hub; while reading, for a bad row.
    """
    path = Path(name).expanduser()
    if path.exists():
        return _read_local_splits(path, invert_oasst1)
    known = ["planted", *SOURCE_FORMATS]
    if name in SOURCE_FORMATS:
        files = [f"a path to a {', '.join(SUFFIXES)} file"]
        convert = SOURCE_FORMATS[name].choose_converter(invert_oasst1)
        return {split: convert(rows) for split, rows in read_hub_rows(name, known + files).items()}
    if name.endswith(SUFFIXES) or name.startswith((".", "/", "~")):
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


def _read_local_splits(path: Path, invert_oasst1: bool) -> dict[str, PairStream]:
    """Return the pairs of each split of a file (one split, `train`) or of a folder.

    A folder is searched to its leaves for `train.parquet`, `data/validation-00000-of-00002.parquet`, `test.jsonl.gz`
    and the like. The name up to the ending and the shard number is the split. Files of one split are joined in the
    order of their paths.
    """
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if _is_data_file(item.relative_to(path)) and item.is_file())
        if not files:
            raise InputError(f"data.source: folder '{path}' has no data files; accepted: {', '.join(SUFFIXES)}")
        names: dict[str, list[Path]] = {}
        for file in files:
            names.setdefault(_split_name(file), []).append(file)
        return {
            name: itertools.chain.from_iterable(_read_pairs(file, invert_oasst1) for file in members)
            for name, members in names.items()
        }
    if not path.name.endswith(SUFFIXES):
        raise InputError(f"data.source: '{path}' has an unknown file type; accepted: {', '.join(SUFFIXES)}")
    return {"train": _read_pairs(path, invert_oasst1)}


def _is_data_file(relative: Path) -> bool:
    hidden = any(part.startswith(".") for part in relative.parts)
    return not hidden and relative.name.endswith(SUFFIXES)


def _split_name(file: Path) -> str:
    suffix = next(suffix for suffix in SUFFIXES if file.name.endswith(suffix))
    return _SHARD.sub("", file.name.removesuffix(suffix))


def _read_pairs(file: Path, invert_oasst1: bool) -> PairStream:
    """Yield the pairs of a file: by the rules of the data set that it is a copy of, else strictly."""
    rows = read_rows(file)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{file}: the file is empty; accepted: one preference pair a row")
    all_rows: Iterator[Row] = itertools.chain([first], rows)
    known = recognise_format(first.values)
    yield from known.choose_converter(invert_oasst1)(all_rows) if known else read_own_pairs(all_rows)


def read_own_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair]:
    """Yield the pair of each row of a user's own file. Nothing is dropped: every row must give a pair.

    Raises
    ------
    InputError
        At the first row that gives no pair, with its `file:row`.
    """
    for row in rows:
        pair = pair_from_row(row)
        if isinstance(pair, Dropped):
            raise InputError(f"{pair.origin}: {pair.reason}")
        yield pair
