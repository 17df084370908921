"""The rows of one data file: JSONL, JSONL.gz, Parquet or Arrow, each with the `file:row` that error lines name."""

from __future__ import annotations

import gzip
import json
import math
import re
import reprlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gazetune.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".arrow")
"""Endings of the files that can be read, in any letter case."""


class RowError(InputError):
    """A row that gives no pair. The whole line has row, key and value; `reason` is what such rows are counted by."""

    def __init__(self, origin: str, reason: str, detail: str = "", shown: str | None = None) -> None:
        """`shown` stands in the line in the place of `reason`."""
        # Names of columns and roles are the user's, and may have line breaks.
        super().__init__(" ".join(f"{origin}: {reason if shown is None else shown}{detail}".splitlines()))
        self.origin = origin
        self.reason = " ".join(re.sub(r"\[\d+\]", "[]", reason).splitlines())
        """Short and without values: `key 'chosen[].role' is missing`."""
        self._parts = (origin, reason, detail, shown)

    def __reduce__(self) -> tuple[type[RowError], tuple[str, str, str, str | None]]:
        """Return what the error is made from: it crosses processes, and has more arguments than its text."""
        return (RowError, self._parts)


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
            got = f", got {type(value).__name__} {abbreviate_value(value)}"
            raise RowError(self.origin, f"key '{key}' must be text", got)
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            place = f" at position {error.start}"
            raise RowError(self.origin, f"key '{key}' holds half of a character", place) from None
        return value

    def get_number(self, key: str) -> float:
        """Return the finite number under `key`.

        Raises
        ------
        InputError
            When the key is missing or its value is no finite number.
        """
        value = self.get_value(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        try:
            number = float(cast(float, value)) if is_number else math.nan
        except OverflowError:  # JSON has integers of any length
            number = math.inf
        if not math.isfinite(number):
            raise RowError(self.origin, f"key '{key}' must be a finite number", f", got {abbreviate_value(value)}")
        return number

    def get_value(self, key: str) -> object:
        """Return the value under `key`, which may be None.

        Raises
        ------
        InputError
            When the key is missing.
        """
        if key not in self.values:
            there = f"; the row has: {', '.join(map(str, self.values))}"
            raise RowError(self.origin, f"key '{key}' is missing", there)
        return self.values[key]

    def has_value(self, key: str) -> bool:
        """Tell whether something stands under `key`: neither None nor NaN, which pandas has in its place, nor empty.

        Examples
        --------
        >>> row = Row("a.jsonl:1", {"prompt": "Why?", "system": " ", "images": [], "id": 0})
        >>> [key for key in ("prompt", "system", "images", "id", "tools") if row.has_value(key)]
        ['prompt', 'id']
        """
        value = self.values.get(key)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return False
        return bool(value.strip()) if isinstance(value, str) else value not in ([], {})


def abbreviate_value(value: object) -> str:
    """Return a short one-line picture of a value for an error line."""
    return reprlib.repr(value)


def read_rows(path: Path, report: Callable[[RowError], object] | None = None) -> Iterator[Row]:
    """Yield the rows of a file, lazily. Blank JSONL lines are skipped and counted as rows.

    Parameters
    ----------
    report
        Told of a line that is no JSON object, which is then skipped; without it such a line is raised.

    Raises
    ------
    InputError
        For an unknown ending, a file that cannot be read or is cut off, and a line that is no JSON object.
    """
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise InputError(f"{path}: unknown file type '{path.suffix}'; accepted: {', '.join(SUFFIXES)}")
    try:
        if name.endswith((".parquet", ".arrow")):
            yield from _read_table(path)
        else:
            yield from _read_jsonl(path, report)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({reason})") from error


def _read_jsonl(path: Path, report: Callable[[RowError], object] | None) -> Iterator[Row]:
    number = 0
    with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as lines:
        while True:
            number += 1
            origin = f"{path}:{number}"
            try:
                line = lines.readline()
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise InputError(f"{origin}: the gzip stream is damaged or cut off ({error})") from error
            if not line:
                return
            if not line.strip():
                continue
            try:
                values = _parse_line(origin, line)
            except RowError as error:
                if report is None:
                    raise
                report(error)
            else:
                yield Row(origin, values)


class _RepeatedKey(ValueError):
    """A JSON object has a key twice, of which a parser keeps the last one without a word."""


def _require_unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKey(next(key for key in keys if keys.count(key) > 1))
    return values


def _parse_line(origin: str, line: bytes) -> dict[str, object]:
    try:
        # A byte order mark stands before the first line of files from Windows.
        text = line.removeprefix(b"\xef\xbb\xbf") if origin.endswith(":1") else line
        values = json.loads(text, object_pairs_hook=_require_unique_keys)
    except _RepeatedKey as error:
        raise RowError(origin, f"key '{error}' is there twice") from error
    except (ValueError, RecursionError) as error:
        cut_off = "" if line.endswith(b"\n") else "; the line has no end, so the file may be cut off"
        raise RowError(origin, "not valid JSON", f" ({error}){cut_off}") from error
    if not isinstance(values, dict):
        got = f", got {type(values).__name__} {abbreviate_value(values)}"
        raise RowError(origin, "a row must be a JSON object", got)
    return values


def _read_table(path: Path) -> Iterator[Row]:
    # Imported here: reading JSONL should not pay for it.
    import pyarrow as pa

    arrow = path.name.lower().endswith(".arrow")
    number = 0
    try:
        for batch in _arrow_batches(path) if arrow else _parquet_batches(path):
            _refuse_repeated_columns(path, batch.schema.names)
            for values in zip(*map(_convert_column, batch.columns), strict=True):
                number += 1
                yield Row(f"{path}:{number}", dict(zip(batch.schema.names, values, strict=True)))
    except (pa.ArrowException, UnicodeDecodeError, OverflowError) as error:
        kind = "Arrow" if arrow else "Parquet"
        raise InputError(f"{path}: not a whole {kind} file ({' '.join(str(error).split())})") from error


@dataclass(frozen=True, slots=True)
class UnreadableCell:
    """A cell of a table that Python has no value for: bytes that are no UTF-8, or a date beyond the year 9999."""

    reason: str

    def __repr__(self) -> str:
        return f"<unreadable: {self.reason}>"


def _convert_column(column: pa.Array) -> list[object]:
    """Return [rows] the values of a column; only what is unreadable in it, not its other rows, is taken out."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_convert_cell(cell) for cell in column]


def _convert_cell(cell: pa.Scalar) -> object:
    try:
        return cell.as_py()
    except (ValueError, OverflowError) as error:
        return UnreadableCell(" ".join(str(error).split()))


def _refuse_repeated_columns(path: Path, names: list[str]) -> None:
    """Refuse a table with two columns of one name, of which a row would have the last one."""
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{path}: column '{repeated}' is there twice; accepted: each column once")


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=1024)


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an Arrow file of either kind: `datasets` writes streams, other programs also files."""
    import pyarrow as pa

    with path.open("rb") as file:
        is_stream = file.read(6) != b"ARROW1"
    with pa.OSFile(str(path)) as file:
        if is_stream:
            yield from pa.ipc.open_stream(file)
        else:
            reader = pa.ipc.open_file(file)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
