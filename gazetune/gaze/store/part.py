"""One part of the store: an Arrow IPC file of a few thousand texts, written once, mapped without a copy.

A part is one record batch with a row a text, sorted by key, and the units of all texts one after another. Its name
holds the checksum of its bytes, and it appears under that name, whole, or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.measures import FlatGaze

KEY = np.dtype("S32")
"""A text's key in an array: the 32 bytes of its sha256."""

_NAME = re.compile(r"part-(\d{5,})-([0-9a-f]{32})\.arrow")
UNFINISHED = ".unfinished-"
"""How the name of a file begins that is not a part yet."""

_UNIT = pa.struct(
    [("span", pa.list_(pa.int32(), 2)), ("values", pa.list_(pa.float32(), len(MEASURES))), ("word", pa.int32())]
)
_SCHEMA = pa.schema(
    [("key", pa.binary(32)), ("units", pa.large_list(_UNIT))],
    metadata={"format": "gazetune.gaze.1", "measures": ",".join(MEASURES)},
)


@dataclass(frozen=True, slots=True)
class StorePart:
    """One mapped file. All arrays are read-only views of it."""

    keys: NDArray[np.bytes_]
    """[texts] key of each text, sorted."""
    gaze: FlatGaze


def part_paths(folder: Path) -> list[Path]:
    """Return the parts in a store's folder in the order of their numbers."""
    named = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return [path for _, path in sorted((int(match[1]), path) for match, path in named if match)]


def is_intact(path: Path) -> bool:
    """Return whether a part's bytes have the checksum in its name."""
    return has_checksum(path, path.name)


def remove_unfinished(folder: Path) -> None:
    """Delete what killed builds left behind. Only for the one process that holds the store's lock."""
    for path in folder.glob(f"{UNFINISHED}*"):
        path.unlink()


def write_part(folder: Path, number: int, keys: Sequence[bytes], gaze: FlatGaze) -> Path:
    """Write the measures of the texts that have `keys`, which are sorted, as part `number` and return its path."""
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(gaze.spans.reshape(-1)), 2),
        pa.FixedSizeListArray.from_arrays(pa.array(gaze.values.reshape(-1)), len(MEASURES)),
        pa.array(gaze.words),
    ]
    units = pa.StructArray.from_arrays(columns, fields=list(_UNIT))
    lists = pa.LargeListArray.from_arrays(pa.array(gaze.offsets), units)
    batch = pa.record_batch([pa.array(keys, pa.binary(32)), lists], schema=_SCHEMA)
    unfinished = unfinished_path(folder)
    with unfinished.open("wb") as stream:
        with pa.ipc.new_file(stream, _SCHEMA) as writer:
            writer.write_batch(batch)
        stream.flush()
        os.fsync(stream.fileno())  # or a power cut could leave the final name on empty blocks
    path = folder / f"part-{number:05d}-{_checksum(unfinished)}.arrow"
    unfinished.replace(path)
    return path


def unfinished_path(folder: Path) -> Path:
    """Return the name under which this process writes a file that is to become a part."""
    return folder / f"{UNFINISHED}{os.getpid()}"


def has_checksum(path: Path, name: str) -> bool:
    """Return whether the bytes of the file at `path` have the checksum in the part's name `name`."""
    match = _NAME.fullmatch(name)
    return match is not None and match[2] == _checksum(path)


def is_part_name(name: str) -> bool:
    """Return whether a file of that name is a part."""
    return _NAME.fullmatch(name) is not None


def part_number(path: Path) -> int:
    """Return the number in a part's name."""
    return int(path.name.split("-")[1])


def map_part(path: Path) -> StorePart:
    """Map a part into memory.

    Raises
    ------
    InputError
        If the file is of another format or has other measures than this package.
    """
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    if reader.schema.metadata != _SCHEMA.metadata:
        raise InputError(f"{path}: has the format {reader.schema.metadata}; accepted: {_SCHEMA.metadata}")
    batch = reader.get_batch(0)
    units = batch["units"].values
    # Views of the mapped buffers: zero_copy_only makes Arrow refuse rather than copy.
    spans = units.field("span").values.to_numpy(zero_copy_only=True).reshape(-1, 2)
    values = units.field("values").values.to_numpy(zero_copy_only=True).reshape(-1, len(MEASURES))
    words = units.field("word").to_numpy(zero_copy_only=True)
    keys = np.frombuffer(batch["key"].buffers()[1], dtype=KEY, count=batch.num_rows)
    offsets = batch["units"].offsets.to_numpy(zero_copy_only=True)
    return StorePart(keys, FlatGaze(spans, values, words, offsets))


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:32]
