"""Folders that are replaced by newer ones; a kill leaves the old one or the new one, whole."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from gazetune.files.replaced_folder import partial_folder, recover_folder, replace_folder, swap_folders
from tests.unit.files.killed_writer import kill_writers
from tests.unit.files.simulated_kill import Killed, kill_before

WRITE = """
from gazetune.files.replaced_folder import recover_folder, replace_folder

recover_folder(path)

def write(path, number):
    with replace_folder(path) as folder:
        for name in range(5):
            (folder / str(name)).write_text(f"{number} " * 2_000)
"""


def test_a_replacement_killed_with_9_at_random_moments_leaves_a_whole_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with replace_folder(path) as folder:
        for name in range(5):
            (folder / str(name)).write_text("0 " * 2_000)
    hidden = set()
    for _ in kill_writers(WRITE, path, kills=12):
        hidden |= {each.name for each in tmp_path.iterdir()} - {"folder"}
        assert recover_folder(path)
        words = [file.read_text().split() for file in path.iterdir()]
        assert [len(each) for each in words] == [2_000] * 5
        assert len({word for each in words for word in each}) == 1, "all files are of one version"
    assert hidden and hidden <= {".folder.partial", ".folder.previous"}


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, OSError])
def test_an_error_leaves_the_folder_as_it_was(error: type[BaseException], tmp_path: Path) -> None:
    with replace_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("old")
    with pytest.raises(error), replace_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("new")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (tmp_path / "folder" / "file").read_text() == "old"


def test_what_a_killed_process_left_does_not_get_into_the_next_folder(tmp_path: Path) -> None:
    left = partial_folder(tmp_path / "folder")
    left.mkdir()
    (left / "half").touch()
    with replace_folder(tmp_path / "folder") as folder:
        (folder / "file").touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


def test_a_replacement_after_a_killed_one_never_leaves_less_than_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for operation in range(1, 7):
        root = tmp_path / str(operation)
        for name, content in ((".last.previous", "old"), ("new", "new")):
            (root / name).mkdir(parents=True)
            (root / name / "content").write_text(content)
        kill_before(operation, monkeypatch)
        with contextlib.suppress(Killed):
            swap_folders(root / "new", root / "last")
        monkeypatch.undo()
        assert recover_folder(root / "last")
        assert (root / "last" / "content").read_text() in ("old", "new")


def test_two_workers_may_recover_a_folder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".last.previous").mkdir()
    rename = Path.rename

    def after_the_other(path: Path, target: Path) -> Path:
        rename(path, target)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", after_the_other)
    assert recover_folder(tmp_path / "last")


def test_there_is_nothing_to_recover_where_nothing_was_saved(tmp_path: Path) -> None:
    assert not recover_folder(tmp_path / "last")
