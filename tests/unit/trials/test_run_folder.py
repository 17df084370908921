"""A run's folder, whatever is run: it appears with its first files in it, and one driver works in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.trials.run_folder import RunFacts, RunFolder


class ProbeFolder(RunFolder):
    kind = "probe"


def write_notes(folder: RunFolder) -> None:
    (folder.path / "notes").write_text("first")


def test_a_new_folder_has_its_first_files_and_its_driver(tmp_path: Path) -> None:
    folder = ProbeFolder.create_filled(tmp_path, "mine", write_notes)
    assert folder.is_driven() and folder.document == tmp_path / "mine" / "probe.json"
    assert (tmp_path / "mine" / "notes").read_text() == "first"
    folder.unlock()
    assert not folder.is_driven()


def test_a_folder_that_cannot_be_filled_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: RunFolder) -> None:
        write_notes(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        ProbeFolder.create_filled(tmp_path, "mine", fail)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_there_is_refused(tmp_path: Path) -> None:
    ProbeFolder.create_filled(tmp_path, "mine", write_notes).unlock()
    with pytest.raises(FileExistsError):
        ProbeFolder.create_filled(tmp_path, "mine", write_notes)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_who_is_kept_out_is_told_what_runs(tmp_path: Path) -> None:
    folder = ProbeFolder.create_filled(tmp_path, "mine", write_notes)
    with pytest.raises(InputError, match=r"^probe 'mine' in .* is running already$"):
        ProbeFolder(tmp_path / "mine").lock()
    folder.unlock()


def test_what_is_written_is_read_and_a_run_with_its_document_is_finished(tmp_path: Path) -> None:
    folder = ProbeFolder(tmp_path)
    assert folder.read_facts() is None and folder.read_parent_run() is None and folder.read_document() is None
    folder.write_facts(RunFacts("pairs", 1000))
    folder.write_parent_run("abc")
    folder.write_document('{"winner": null}')
    again = ProbeFolder(tmp_path)
    assert again.read_facts() == RunFacts("pairs", 1000) and again.read_parent_run() == "abc"
    assert again.read_document() == {"winner": None}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["facts.json", "mlflow_run", "probe.json"]
