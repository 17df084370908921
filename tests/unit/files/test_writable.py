"""Whether a place can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.files.writable import nearest_folder, require_writable


def test_the_nearest_folder_is_the_path_itself_or_the_first_one_above_that_exists(tmp_path: Path) -> None:
    assert nearest_folder(tmp_path) == tmp_path
    assert nearest_folder(tmp_path / "a" / "b") == tmp_path


def test_a_relative_path_is_looked_up_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert nearest_folder(Path("a") / "b") == tmp_path


def test_asking_whether_a_place_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_a_place_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        require_writable(tmp_path / "file" / "folder")
