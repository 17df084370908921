"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gazetune.files.atomic_write import create_file, write_atomically, write_files_atomically
from tests.unit.files.killed_writer import kill_writers

WRITE_FILE = """
from gazetune.files.atomic_write import write_atomically

def write(path, number):
    write_atomically(path, f"{number} " * 200_000)
"""
WRITE_DATABASE = """
from gazetune.files.atomic_write import create_file

def write(path, number):
    with create_file(path) as unfinished:
        with unfinished.open("w") as file:
            for _ in range(200):
                file.write(f"{number} " * 1000)
                file.flush()
"""


@pytest.mark.parametrize("write", [WRITE_FILE, WRITE_DATABASE], ids=["write_atomically", "create_file"])
def test_a_write_killed_with_9_at_random_moments_leaves_a_whole_file(write: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("0 " * 200_000)
    hidden = set()
    for _ in kill_writers(write, path, kills=12):
        words = path.read_text().split()
        assert len(words) == 200_000 and len(set(words)) == 1
        hidden |= {each.name for each in tmp_path.iterdir()} - {"file"}
    assert hidden, "some kills hit while a file was written"
    assert all(name.startswith(".file.") for name in hidden)


def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "text", "größer\n")
    write_atomically(tmp_path / "bytes", b"\x00\xff", durable=True)
    assert (tmp_path / "text").read_bytes() == "größer\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bytes", "text"]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "atomic", "")
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE((tmp_path / "atomic").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_file_that_cannot_be_written_leaves_all_files_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("old")
    obstacle = tmp_path / f".second.{os.getpid()}"
    obstacle.mkdir()  # where the second file would be written
    with pytest.raises(IsADirectoryError):
        write_files_atomically({tmp_path / "first": "new", tmp_path / "second": "new"})
    assert (tmp_path / "first").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [obstacle.name, "first"]


def test_text_that_cannot_be_encoded_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "file", "\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", "")


def test_what_is_written_beside_a_created_file_goes_and_an_error_leaves_nothing(tmp_path: Path) -> None:
    with create_file(tmp_path / "file") as unfinished:
        unfinished.write_text("content")
        unfinished.with_name("journal").write_text("")
    with pytest.raises(KeyError), create_file(tmp_path / "other") as unfinished:
        unfinished.write_text("content")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "content"
