"""Folders that are made whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.files.new_folder import create_folder
from tests.unit.files.killed_writer import kill_writers

WRITE = """
from gazetune.files.new_folder import create_folder

def write(path, number):
    with create_folder(path.with_name(f"{path.name}-{number}")) as folder:
        for name in range(20):
            (folder / str(name)).write_text(f"{number} " * 10_000)
"""


def test_a_folder_whose_making_is_killed_with_9_is_whole_or_not_there(tmp_path: Path) -> None:
    whole = 0
    for _ in kill_writers(WRITE, tmp_path / "made", kills=12):
        for folder in tmp_path.glob("made-*"):
            assert len(list(folder.iterdir())) == 20
            assert {len(file.read_text().split()) for file in folder.iterdir()} == {10_000}
            whole += 1
    left = list(tmp_path.glob(".*"))
    assert whole and left, "some kills hit while a folder was made"
    name = left[0].name.partition(".made-")[2]
    with create_folder(tmp_path / f"made-{name}"):
        pass
    assert left[0] not in set(tmp_path.iterdir()), "what a killed process left of a folder goes when it is made"


def test_folders_above_are_made_at_the_end_and_not_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with pytest.raises(KeyError), create_folder(path) as folder:
        (folder / "file").touch()
        raise KeyError
    assert not list(tmp_path.iterdir())
    with create_folder(path) as folder:
        (folder / "file").touch()
        assert not (tmp_path / "a").exists()
    assert [each.name for each in tmp_path.rglob("*")] == ["a", "b", "file"]


def test_of_two_that_make_a_folder_at_once_the_first_one_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError), create_folder(tmp_path / "made") as second:
        (second / "who").write_text("second")
        with create_folder(tmp_path / "made") as first:
            (first / "who").write_text("first")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "who").read_text() == "first"
