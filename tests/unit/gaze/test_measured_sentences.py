from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.gaze.measured_sentences import read_measured_sentences

HEADER = ["sentence_id", "word_id", "word", "nFix", "FFD", "GPT", "TRT", "fixProp"]


def write(path: Path, rows: Sequence[Sequence[object]], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    return path


def test_end_mark_is_stripped_and_words_that_look_like_missing_values_stay(tmp_path: Path) -> None:
    rows = [[4, 0, "None", 1, 2, 3, 4, 5], [4, 1, "NA.<EOS>", 6, 7, 8, 9, 10], [9, 0, "null<EOS>", 1, 1, 1, 1, 1]]
    data = read_measured_sentences(write(tmp_path / "rows.csv", rows))
    assert data.texts == ("None NA.", "null")
    assert data.values.tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [1, 1, 1, 1, 1]]


def test_the_byte_order_mark_of_a_spreadsheet_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", [[1, 0, "fine", 1, 1, 1, 1, 1]], encoding="utf-8-sig")
    assert read_measured_sentences(path).texts == ("fine",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, 1, "", 1, 1, 1, 1, 1], "rows.csv row 2: word: is empty"),
        ([1, 1, " ", 1, 1, 1, 1, 1], "rows.csv row 2: word: is empty"),
        (["", 1, "word", 1, 1, 1, 1, 1], "rows.csv row 2: sentence_id: is empty"),
        ([1, 1, "<EOS>", 1, 1, 1, 1, 1], "rows.csv row 2: word: ''; accepted: one word"),
        ([1, 1, "two words", 1, 1, 1, 1, 1], "rows.csv row 2: word: 'two words'"),
        ([1, 1, "word", 1, "x", 1, 1, 1], "rows.csv row 2: FFD: 'x' is no number"),
        ([1, 1, "word", 1, 1, "nan", 1, 1], "rows.csv row 2: GPT: nan; accepted: 0 to 100"),
        ([1, 1, "word", -0.5, 1, 1, 1, 1], "rows.csv row 2: nFix: -0.5; accepted: 0 to 100"),
        ([1, 1, "word", 1, 1, 1, 101, 1], "rows.csv row 2: TRT: 101; accepted: 0 to 100"),
        ([1, 1, "word", 1, 1], "rows.csv row 2: has fewer values than the header"),
        ([1, 1, "word", 1, 1, 1, 1, ""], "rows.csv row 2: fixProp: is empty"),
    ],
)
def test_bad_rows_are_refused_by_number(tmp_path: Path, row: list[object], message: str) -> None:
    path = write(tmp_path / "rows.csv", [[1, 0, "fine", 1, 1, 1, 1, 1], row])
    with pytest.raises(InputError, match=message):
        read_measured_sentences(path)


def test_files_that_are_not_in_the_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv: cannot be read"):
        read_measured_sentences(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="row 1: is missing; the file has a header alone"):
        read_measured_sentences(write(tmp_path / "rows.csv", []))
    (tmp_path / "other.csv").write_text("sentence_id,word,nFix\n")
    with pytest.raises(InputError, match="row 1: columns 'FFD', 'GPT', 'TRT', 'fixProp' are missing"):
        read_measured_sentences(tmp_path / "other.csv")
    apart = [[1, 0, "a", 1, 1, 1, 1, 1], [2, 0, "b", 1, 1, 1, 1, 1], [1, 1, "c", 1, 1, 1, 1, 1]]
    with pytest.raises(InputError, match="row 3: sentence_id: 1 comes in two pieces"):
        read_measured_sentences(write(tmp_path / "rows.csv", apart))
