"""The user's own files: one file, or a folder whose files are named after their splits."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from gazetune.errors import InputError
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.sources.registry import Dropped, recognised
from gazetune.preferences.sources.rows import SUFFIXES, Row, read_rows
from gazetune.preferences.sources.shapes import strict_pairs

_SHARD = re.compile(r"-\d+-of-\d+$")


def local_splits(path: Path, invert_oasst1: bool = False) -> dict[str, Iterator[PreferencePair | Dropped]]:
    """Return the pairs of each split of a file (one split, `train`) or a folder, read lazily.

    A folder is searched to its leaves for `train.parquet`, `data/validation-00000-of-00002.parquet`, `test.jsonl.gz`
    and the like: the name up to the ending and the shard number is the split; files of one split are joined in path
    order. With `invert_oasst1` copies of OASST1 have chosen and rejected change places.

    Raises
    ------
    InputError
        For a file of another type or a folder without files; while reading, for an empty file or a bad row.
    """
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if _readable(item.relative_to(path)) and item.is_file())
        if not files:
            raise InputError(f"data.source: folder '{path}' has no data files; accepted: {', '.join(SUFFIXES)}")
        names: dict[str, list[Path]] = {}
        for file in files:
            names.setdefault(_split_name(file), []).append(file)
        return {
            name: itertools.chain.from_iterable(_pairs(file, invert_oasst1) for file in members)
            for name, members in names.items()
        }
    if not path.name.endswith(SUFFIXES):
        raise InputError(f"data.source: '{path}' has an unknown file type; accepted: {', '.join(SUFFIXES)}")
    return {"train": _pairs(path, invert_oasst1)}


def _pairs(file: Path, invert_oasst1: bool) -> Iterator[PreferencePair | Dropped]:
    rows = read_rows(file)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{file}: the file is empty; accepted: one preference pair a row")
    joined: Iterator[Row] = itertools.chain([first], rows)
    raw = recognised(first.values)
    yield from raw.converter(invert_oasst1)(joined) if raw else strict_pairs(joined)


def _readable(relative: Path) -> bool:
    hidden = any(part.startswith(".") for part in relative.parts)
    return not hidden and relative.name.endswith(SUFFIXES)


def _split_name(file: Path) -> str:
    suffix = next(suffix for suffix in SUFFIXES if file.name.endswith(suffix))
    return _SHARD.sub("", file.name.removesuffix(suffix))
