"""The rows of one data file: JSONL, JSONL.gz or Parquet, each row with the `file:row` that error lines name."""

from __future__ import annotations

import gzip
import json
import math
import reprlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gazetune.errors import InputError

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
"""Endings of the files that can be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file or of a published data set."""

    origin: str
    """`file:row`, rows counted from 1 (for JSONL the line)."""
    values: Mapping[str, object]

    def get_text(self, key: str) -> str:
        """Return the text under `key`.

        Raises
        ------
        InputError
            When the key is missing, its value is no text, or it has no UTF-8 form: a lone surrogate (half of a
            character), on which tokenizers fail.
        """
        value = self.get_value(key)
        if not isinstance(value, str):
            raise InputError(
                f"{self.origin}: key '{key}' must be text, got {type(value).__name__} {abbreviate_value(value)}"
            )
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"{self.origin}: key '{key}' holds half of a character at position {error.start}"
            ) from None
        return value

    def get_number(self, key: str) -> float:
        """Return the finite number under `key`.

        Raises
        ------
        InputError
            When the key is missing or its value is no finite number.
        """
        value = self.get_value(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{self.origin}: key '{key}' must be a finite number, got {abbreviate_value(value)}")
        return float(value)

    def get_value(self, key: str) -> object:
        """Return the value under `key`, which may be None.

        Raises
        ------
        InputError
            When the key is missing.
        """
        if key not in self.values:
            raise InputError(f"{self.origin}: key '{key}' is missing; the row has: {', '.join(map(str, self.values))}")
        return self.values[key]


def abbreviate_value(value: object) -> str:
    """Return a short one-line picture of a value for an error line."""
    return reprlib.repr(value)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, lazily. Blank JSONL lines are skipped and counted as rows.

    Raises
    ------
    InputError
        For an unknown ending, a file that cannot be read or is cut off, and a line that is no JSON object.
    """
    reader = _read_parquet if path.name.endswith(".parquet") else _read_jsonl
    if not path.name.endswith(SUFFIXES):
        raise InputError(f"{path}: unknown file type '{path.suffix}'; accepted: {', '.join(SUFFIXES)}")
    try:
        yield from reader(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_jsonl(path: Path) -> Iterator[Row]:
    number = 0
    with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as lines:
        while True:
            number += 1
            origin = f"{path}:{number}"
            try:
                line = lines.readline()
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise InputError(f"{origin}: the gzip stream is damaged or cut off ({error})") from error
            if not line:
                return
            if line.strip():
                yield Row(origin, _parse_line(origin, line))


def _parse_line(origin: str, line: bytes) -> dict[str, object]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        cut_off = "" if line.endswith(b"\n") else "; the line has no end, so the file may be cut off"
        raise InputError(f"{origin}: not valid JSON ({error}){cut_off}") from error
    if not isinstance(values, dict):
        raise InputError(
            f"{origin}: a row must be a JSON object, got {type(values).__name__} {abbreviate_value(values)}"
        )
    return values


def _read_parquet(path: Path) -> Iterator[Row]:
    # Imported here: reading JSONL should not pay for it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"{path}:{number}", values)
    except pa.ArrowException as error:
        raise InputError(f"{path}: not a whole Parquet file ({' '.join(str(error).split())})") from error
