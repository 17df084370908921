"""The pairs of a source, the one at a row, and their texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.preferences.read_pairs import list_messages, read_pair_at, read_pairs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Question {row}?", "chosen": f"Good {row}.", "rejected": "Bad."} for row in (1, 2, 3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_all_pairs_of_a_file_are_read_in_their_order(file: Path) -> None:
    assert [pair.chosen for pair in read_pairs(str(file))] == ["Good 1.", "Good 2.", "Good 3."]


def test_the_texts_are_distinct_and_replies_come_first(file: Path) -> None:
    replies = ["Good 1.", "Bad.", "Good 2.", "Good 3."]
    assert list_messages(read_pairs(str(file))) == [*replies, "Question 1?", "Question 2?", "Question 3?"]


def test_a_pair_is_found_by_its_row(file: Path) -> None:
    assert read_pair_at(f"{file}:2").chosen == "Good 2."


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("{}:4", "has no row 4; the last one is 3"),
        ("{}:0", "accepted: FILE:ROW, with rows counted from 1"),
        ("{}", "accepted: FILE:ROW"),
    ],
)
def test_a_wrong_place_is_one_line(place: str, expected: str, file: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_pair_at(place.format(file))
    assert expected in str(caught.value) and "\n" not in str(caught.value)
