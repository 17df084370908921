from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.files.delimited import LONGEST_DURATION, TableRow, read_header, read_table


def table(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_both_separators_a_byte_order_mark_and_all_line_ends_are_read(tmp_path: Path) -> None:
    for content in ("a,b\n1,2\n", "a;b\r\n1;2\r\n", b"\xef\xbb\xbfa,b\n1,2", "a,b,\n1,2,\n\n", "a,b\n1,2,,\n"):
        path = table(tmp_path, content)
        (row,) = read_table(path, ("a", "b"))
        assert (row.get_int("a"), row.get_float("b"), row.origin) == (1, 2.0, f"{path} row 1")
        assert read_header(path)[:2] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"rows\.csv: is empty"),
        (" \n", r"rows\.csv: is empty"),
        ("a,b\n", "row 1: is missing; the file has a header alone"),
        ("a,c\n1,2\n", "row 1: column 'b' is missing; it has a, c"),
        ("c\n1\n", "row 1: columns 'a', 'b' are missing; it has c"),
        ("a,b,a\n1,2,3\n", "row 1: column 'a' is there twice"),
        ("a,b\n1,2\n3\n", "row 2: has fewer values than the header has columns"),
        ("a,b\n1,2\n3,4,5\n", "row 2: has more values than the header has columns; accepted: numbers with a decimal"),
        (b"a,b\n1,2\n3,\xe9\n", r"row 2: is not UTF-8 \(invalid continuation byte\)"),
        ("a,b\n1,2\n".encode("utf-16"), r"rows\.csv: is not UTF-8"),
        (f"a,b\n1,2\n{'x' * 140_000},1\n", "row 2: cannot be read as CSV"),
    ],
)
def test_a_file_that_is_no_table_is_named_with_its_row(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_table(table(tmp_path, content), ("a", "b"))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        for read in (read_header, lambda path: read_table(path, ("a",))):
            with pytest.raises(InputError, match=r"cannot be read as CSV \((Is a directory|No such file)"):
                read(path)


def test_durations_are_seconds_and_not_milliseconds(tmp_path: Path) -> None:
    row = TableRow(
        tmp_path, 3, {"good": "0.25", "longest": f"{LONGEST_DURATION}", "ms": "250", "negative": "-0.1", "nan": "nan"}
    )
    assert (row.get_seconds("good"), row.get_seconds("longest")) == (0.25, LONGEST_DURATION)
    with pytest.raises(InputError, match="row 3: ms: '250'; accepted: seconds, at most 60"):
        row.get_seconds("ms")
    for key in ("negative", "nan"):
        with pytest.raises(InputError, match="accepted: a number >= 0"):
            row.get_seconds(key)
