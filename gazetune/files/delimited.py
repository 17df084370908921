"""Rows of a CSV file, each with the file and row that error lines name.

Files separated by `;` and by `,` are both read; the header says which. A row converts its own values, so that a wrong
value is refused with its file, row and column: `eva.csv row 3: duration: '-0.1'; accepted: a number >= 0`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gazetune.errors import InputError

LARGEST_NUMBER = 10_000_000
"""Largest number that a word, line or fixation may have. Memory grows with it, so a wrong one is refused early."""
LONGEST_DURATION = 60.0
"""Longest time on one word in seconds. Durations in milliseconds are nearly all longer, so they are noticed."""
FARTHEST_PIXEL = 20_000.0
"""Pixels from the upper left corner that can still be drawn: more than any screen has."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a CSV file.

    Examples
    --------
    >>> row = TableRow(Path("eva.csv"), 3, {"x": "12.5", "word_number": "3.0"})
    >>> row.get_float("x"), row.get_int("word_number"), row.origin
    (12.5, 3, 'eva.csv row 3')
    """

    path: Path
    number: int
    """Counted from 1 below the header."""
    values: Mapping[str, str]
    """By the names of the columns."""

    @property
    def origin(self) -> str:
        """`file row N`, as error lines have it."""
        return f"{self.path} row {self.number}"

    def get_seconds(self, key: str) -> float:
        """Return the duration under `key`, in seconds.

        Raises
        ------
        InputError
            If it is no number, negative, or so long that it must be in milliseconds.
        """
        value = self.get_float(key, 0.0)
        if value > LONGEST_DURATION:
            raise InputError(
                f"{self.origin}: {key}: '{self.values[key]}'; accepted: seconds, at most {LONGEST_DURATION:g}"
            )
        return value

    def get_float(self, key: str, least: float | None = None) -> float:
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
            raise InputError(f"{self.origin}: {key}: '{self.values[key]}'; accepted: {accepted}")
        return value

    def get_int(self, key: str, least: int = 0) -> int:
        """Return the whole number under `key`; `3.0` is one, as pandas writes it.

        Raises
        ------
        InputError
            If it is no whole number, below `least`, or above `LARGEST_NUMBER`.
        """
        value = self.get_float(key, least)
        if value > LARGEST_NUMBER or value != int(value):
            raise InputError(
                f"{self.origin}: {key}: '{self.values[key]}'; accepted: a whole number, {least} to {LARGEST_NUMBER}"
            )
        return int(value)

    def get_pixels(self, key: str, least: float = -FARTHEST_PIXEL) -> float:
        """Return the position under `key`, in pixels from the upper left corner.

        Raises
        ------
        InputError
            If it is no finite number, below `least`, or beyond `FARTHEST_PIXEL`.
        """
        value = self.get_float(key)
        if not least <= value <= FARTHEST_PIXEL:
            raise InputError(
                f"{self.origin}: {key}: '{self.values[key]}'; accepted: pixels, {least:g} to {FARTHEST_PIXEL:g}"
            )
        return value

    def get_word(self, key: str) -> str:
        """Return the word under `key`.

        Raises
        ------
        InputError
            If it is empty or white space.
        """
        value = self.values[key].strip()
        if not value:
            raise InputError(f"{self.origin}: {key}: is empty; accepted: a word")
        return value


def read_header(path: Path) -> list[str]:
    """Return the names of the columns, empty for a file that is no text in UTF-8 or empty itself.

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
        raise InputError(f"{path}: cannot be read as CSV ({error.strerror})") from None
    if "\0" in line:  # UTF-16 without a byte-order mark
        return []
    return next(csv.reader([line.rstrip("\r\n")], delimiter=_find_separator(line)), [])


def read_table(path: Path, required: Sequence[str], any_case: Sequence[str] = ()) -> list[TableRow]:
    """Read a CSV file in UTF-8, separated by `;` or `,`, whichever its header has.

    Parameters
    ----------
    required
        Columns that must be there.
    any_case
        Columns whose case does not matter, nor white space around them, whether or not they must be there.

    Raises
    ------
    InputError
        If it cannot be read, one of the `required` columns is missing or there twice, a row has fewer or more values
        than the header has columns, or there is no row.
    """
    content = _decode_file(path)
    header = content.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=_find_separator(header))
    rows: list[TableRow] = []
    try:
        reader.fieldnames = _spell_columns(reader.fieldnames or (), any_case)
        _check_columns(path, reader.fieldnames, required)
        for number, values in enumerate(reader, start=1):
            row = TableRow(path, number, values)
            if any(values[name] is None for name in required):
                raise InputError(f"{row.origin}: has fewer values than the header has columns")
            if any(map(str.strip, values.get(None) or ())):  # an export may end every line with a separator
                raise InputError(
                    f"{row.origin}: has more values than the header has columns; "
                    "accepted: numbers with a decimal point, text with commas in quotes"
                )
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"{path} row {len(rows) + 1}: cannot be read as CSV ({error})") from None
    if not rows:
        raise InputError(f"{path} row 1: is missing; the file has a header alone")
    return rows


def _decode_file(path: Path) -> str:
    """Return the text of the file, without the byte-order mark that spreadsheets begin it with."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read as CSV ({error.strerror})") from None
    if not content.strip():
        raise InputError(f"{path}: is empty; accepted: CSV with a header")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n")
        origin = f"{path} row {row}" if row else f"{path}"
        raise InputError(f"{origin}: is not UTF-8 ({error.reason}); accepted: CSV saved as UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path}: is not UTF-8 (zero bytes, as UTF-16 has); accepted: CSV saved as UTF-8")
    return text


def _spell_columns(columns: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the columns with the `known` ones spelt as known, whatever their case and the white space around them."""
    spellings = {name.casefold(): name for name in known}
    # A column that is there in the known spelling keeps it alone: another case of it is another column.
    return [
        spelt if (spelt := spellings.get(name.strip().casefold(), name)) not in columns else name for name in columns
    ]


def _check_columns(path: Path, columns: Sequence[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in columns]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        verb = f"column {names} is" if len(missing) == 1 else f"columns {names} are"
        raise InputError(f"{path} row 1: {verb} missing; it has {', '.join(filter(None, columns))[:200]}")
    twice = next((name for name in required if columns.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} row 1: column '{twice}' is there twice")


def _find_separator(header: str) -> str:
    return ";" if ";" in header else ","
