"""Rows of a recording's CSV file, each with the file and row that error lines name."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gazetune.errors import InputError


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row; `number` counts from 1 below the header."""

    path: Path
    number: int
    values: Mapping[str, str]

    @property
    def place(self) -> str:
        """`file row N`, as error lines have it."""
        return f"{self.path} row {self.number}"

    def float(self, key: str, least: float | None = None) -> float:
        """Return the finite number under `key`.

        Raises
        ------
        InputError
            If it is no finite number, or below `least`.
        """
        try:
            value = float(self.values[key])
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (least is not None and value < least):
            accepted = "a number" if least is None else f"a number >= {least:g}"
            raise InputError(f"{self.place}: {key}: '{self.values[key]}'; accepted: {accepted}")
        return value

    def int(self, key: str, least: int = 0) -> int:
        """Return the whole number under `key`; `3.0` is one, as pandas writes it.

        Raises
        ------
        InputError
            If it is no whole number, or below `least`.
        """
        value = self.float(key, least)
        if value != int(value):
            raise InputError(f"{self.place}: {key}: '{self.values[key]}'; accepted: a whole number >= {least}")
        return int(value)

    def word(self, key: str) -> str:
        """Return the word under `key`.

        Raises
        ------
        InputError
            If it is empty or white space.
        """
        value = self.values[key].strip()
        if not value:
            raise InputError(f"{self.place}: {key}: is empty; accepted: a word")
        return value


def header_of(path: Path) -> list[str]:
    """Return the names of the columns, empty for a file that is no text.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline()
    except UnicodeDecodeError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return next(csv.reader([line.rstrip("\r\n")], delimiter=_separator(line)), [])


def read_table(path: Path, required: Sequence[str]) -> list[TableRow]:
    """Read a CSV file separated by `;` or `,`, whichever its header has.

    Raises
    ------
    InputError
        If it cannot be read, one of the `required` columns is missing, a row is cut off, or there is no row.
    """
    columns = header_of(path)
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(f"{path} row 1: column '{missing[0]}' is missing; it has {', '.join(filter(None, columns))}")
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            separator = _separator(stream.readline())
            stream.seek(0)
            for number, values in enumerate(csv.DictReader(stream, delimiter=separator), start=1):
                row = TableRow(path, number, values)
                if any(values[name] is None for name in required):
                    raise InputError(f"{row.place}: has fewer values than the header has columns")
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from None
    if not rows:
        raise InputError(f"{path} row 1: is missing; the file has a header alone")
    return rows


def _separator(header: str) -> str:
    return ";" if ";" in header else ","
