from __future__ import annotations

import gzip
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.errors import InputError
from gazetune.preferences.sources.rows import Row, read_rows

LINES = b'{"a": 1}\n{"a": 2}\n'


def _refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        list(read_rows(path))
    assert "\n" not in str(caught.value)


def test_jsonl_gz_and_parquet_give_the_same_rows_counted_from_1(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(LINES)
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress(LINES))
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "r.parquet")
    for name in ("r.jsonl", "r.jsonl.gz", "r.parquet"):
        path = tmp_path / name
        assert list(read_rows(path)) == [Row(f"{path}:1", {"a": 1}), Row(f"{path}:2", {"a": 2})]


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'\n{"a": 1}\n  \n{"a": 2}')
    assert [row.origin for row in read_rows(path)] == [f"{path}:2", f"{path}:4"]


def test_a_half_written_last_line_is_refused_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(LINES + b'{"a": "hal')
    _refused(tmp_path / "r.jsonl", r"r\.jsonl:3: not valid JSON .*may be cut off")


def test_a_broken_line_in_the_middle_is_refused_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b'{"a": 1}\n{"a" 2}\n{"a": 3}\n')
    _refused(tmp_path / "r.jsonl", r"r\.jsonl:2: not valid JSON \([^;]*\)$")


def test_bytes_that_are_no_utf8_are_refused_with_their_row(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(LINES + b'{"a": "\xff\xfe"}\n')
    _refused(tmp_path / "r.jsonl", r"r\.jsonl:3: not valid JSON")


def test_a_line_that_is_no_object_is_refused_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(LINES + b'["a", 1]\n')
    _refused(tmp_path / "r.jsonl", r"r\.jsonl:3: a row must be a JSON object, got list \['a', 1\]")


def test_a_truncated_gzip_is_refused_after_its_last_whole_row(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"a": %d}\n' % number for number in range(5000)))
    (tmp_path / "r.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    _refused(tmp_path / "r.jsonl.gz", r"r\.jsonl\.gz:\d+: the gzip stream is damaged or cut off")


def test_a_file_that_only_looks_like_gzip_or_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl.gz").write_bytes(LINES)
    _refused(tmp_path / "r.jsonl.gz", r"r\.jsonl\.gz:1: the gzip stream is damaged")
    (tmp_path / "r.parquet").write_bytes(LINES)
    _refused(tmp_path / "r.parquet", r"r\.parquet: not a whole Parquet file")


def test_a_cut_off_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(1000))}), tmp_path / "r.parquet")
    whole = (tmp_path / "r.parquet").read_bytes()
    (tmp_path / "r.parquet").write_bytes(whole[:-20])
    _refused(tmp_path / "r.parquet", r"r\.parquet: not a whole Parquet file")


def test_another_ending_is_refused_with_the_accepted_ones(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(LINES)
    _refused(tmp_path / "r.csv", re.escape("'.csv'; accepted: .jsonl, .jsonl.gz, .parquet"))


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").mkdir()
    _refused(tmp_path / "r.jsonl", r"r\.jsonl: cannot be read \(Is a directory\)")


def test_text_and_number_refuse_what_they_are_not() -> None:
    row = Row("f:9", {"text": "t", "number": 2, "none": None, "nan": float("nan"), "flag": True, "half": "a\ud800"})
    assert row.get_text("text") == "t"
    assert row.get_number("number") == 2.0
    for key, kind in (("number", "int 2"), ("none", "NoneType None")):
        with pytest.raises(InputError, match=f"f:9: key '{key}' must be text, got {kind}"):
            row.get_text(key)
    for key in ("text", "none", "nan", "flag"):
        with pytest.raises(InputError, match=f"f:9: key '{key}' must be a finite number"):
            row.get_number(key)
    with pytest.raises(InputError, match="f:9: key 'half' holds half of a character at position 1"):
        row.get_text("half")
    with pytest.raises(InputError, match="f:9: key 'gone' is missing; the row has: text, number"):
        row.get_text("gone")
