"""One part of the store: an Arrow IPC file of a few thousand texts, written once, mapped without a copy.

    part-00012-0123456789abcdef0123456789abcdef.arrow
         |     |
         |     checksum of the file's bytes
         number within the store

A part is one record batch with a row for each text. The rows are sorted by the texts' keys. A part is written under a
temporary name and then renamed, so a file with the name of a part is always whole. The checksum tells whether it was
damaged later.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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


class PartName(NamedTuple):
    """What the name of a part's file says."""

    number: int
    """Place of the part among those of its store."""
    checksum: str
    """First half of the sha256 of the file's bytes, in hex."""

    @classmethod
    def parse(cls, name: str) -> PartName | None:
        """Return what the name of a file says, or None if the file is no part.

        Examples
        --------
        >>> PartName.parse("part-00012-0123456789abcdef0123456789abcdef.arrow")
        PartName(number=12, checksum='0123456789abcdef0123456789abcdef')
        >>> PartName.parse(".lock") is None
        True
        """
        match = _NAME.fullmatch(name)
        return None if match is None else cls(int(match[1]), match[2])

    def matches_content(self, path: Path) -> bool:
        """Return whether the bytes of the file at `path`, whatever its name is, have the checksum."""
        return self.checksum == _compute_checksum(path)


@dataclass(frozen=True, slots=True)
class StorePart:
    """One mapped file. All arrays are read-only views of it."""

    keys: NDArray[np.bytes_]
    """[texts] key of each text, sorted."""
    gaze: FlatGaze


def list_parts(folder: Path) -> dict[Path, PartName]:
    """Return the parts in a store's folder by their paths, in the order of their numbers."""
    named = ((path, PartName.parse(path.name)) for path in folder.iterdir())
    return dict(sorted(((path, name) for path, name in named if name is not None), key=lambda part: part[1]))


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
        os.fsync(stream.fileno())  # without it a power cut could leave the final name on empty blocks
    path = folder / f"part-{number:05d}-{_compute_checksum(unfinished)}.arrow"
    unfinished.replace(path)
    return path


def unfinished_path(folder: Path) -> Path:
    """Return the name under which this process writes a file that is to become a part."""
    return folder / f"{UNFINISHED}{os.getpid()}"


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


def _compute_checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:32]
