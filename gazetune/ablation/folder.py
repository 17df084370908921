"""The folder of one ablation: that of a run, with the study that a resumed one goes on with, and how each cell ended.

STORAGE/NAME/
study.yaml              the study with all arms listed
trials/0000/            a cell: config.yaml, validation.parquet, test.parquet, and cell.json once it has ended
ablation.json           the document
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gazetune.ablation.study.study import Cell, Study
from gazetune.ablation.study.study_file import read_study
from gazetune.errors import InputError
from gazetune.evaluate.margins import margins_file
from gazetune.files.atomic_write import write_atomically
from gazetune.files.names import is_folder_name
from gazetune.files.paths import path_exists, show_text
from gazetune.report.ablation_document import CellRecord
from gazetune.train.checks import check_storage
from gazetune.trials.run_folder import RunFolder


class AblationFolder(RunFolder):
    """`STORAGE/NAME` of an ablation, locked by one driver at a time."""

    kind = "ablation"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._study = path / "study.yaml"

    @classmethod
    def create(cls, storage: Path, study: Study) -> AblationFolder:
        """Make the folder of a new ablation, with its study in it, and lock it.

        Raises
        ------
        InputError
            When the name is taken.
        """

        def fill(folder: AblationFolder) -> None:
            write_atomically(folder._study, study.to_yaml())

        try:
            return cls.create_filled(storage, study.name, fill)
        except FileExistsError:
            raise _name_taken(storage / study.name) from None

    @classmethod
    def open_to_resume(cls, storage: Path, name: str) -> tuple[AblationFolder, Study]:
        """Lock the folder of an unfinished ablation, or of one with cells that failed, and return it with its study.

        Raises
        ------
        InputError
            When there is no such ablation, all its cells are COMPLETE, or another driver works on it.
        """
        folder = cls(storage / name)
        # A name such as `../other` would be one of another storage folder.
        if not is_folder_name(name) or not path_exists(folder._study):
            accepted = ", ".join(cls.list_names(storage)) or "none, no ablation was started there"
            raise InputError(f"--resume: there is no ablation {show_text(name)} in {storage}; accepted: {accepted}")
        folder.lock()
        study = read_study(folder._study, name=name)
        if folder.read_document() is not None and len(folder.read_complete_cells(study)) == len(study.cells):
            folder.unlock()
            raise InputError(f"--resume: ablation '{name}' is finished; its report is {folder.report}")
        return folder, study

    @staticmethod
    def list_names(storage: Path) -> list[str]:
        """Return the names of the ablations in a storage folder, sorted."""
        return sorted(study.parent.name for study in storage.glob("[!.]*/study.yaml"))

    @staticmethod
    def check_name_is_free(storage: Path, name: str) -> None:
        """Refuse a name that is taken, and a storage folder that cannot be written.

        Raises
        ------
        InputError
            In both cases.
        """
        if (storage / name).exists():
            raise _name_taken(storage / name)
        check_storage(storage)

    def read_cell(self, cell: Cell) -> CellRecord | None:
        """Return how a cell ended; None of one that has not."""
        try:
            return CellRecord(**json.loads((self.trial_folder(cell.id) / "cell.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write_cell(self, record: CellRecord) -> None:
        """Write how a cell ended. From then on it is not run again, unless it failed."""
        write_atomically(self.trial_folder(record.id) / "cell.json", json.dumps(asdict(record)), durable=True)

    def write_curve(self, cell_id: str, points: Sequence[tuple[int, float]]) -> None:
        """Write what a cell reached at its evaluations: training examples and validation accuracy."""
        write_atomically(self.trial_folder(cell_id) / "curve.json", json.dumps(points))

    def read_curve(self, cell_id: str) -> tuple[tuple[int, float], ...]:
        """Return what a cell reached at its evaluations; nothing of one that was not evaluated."""
        try:
            stored = json.loads((self.trial_folder(cell_id) / "curve.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ()
        return tuple((int(examples), float(accuracy)) for examples, accuracy in stored)

    def read_complete_cells(self, study: Study) -> dict[str, CellRecord]:
        """Return, by id, the cells that are COMPLETE and have their margins on test."""
        records = {cell.id: self.read_cell(cell) for cell in study.cells}
        return {
            cell_id: record
            for cell_id, record in records.items()
            if record is not None
            and record.state == "COMPLETE"
            and margins_file(self.trial_folder(cell_id), "test").is_file()
        }


def _name_taken(path: Path) -> InputError:
    if (path / "study.yaml").is_file():
        return InputError(
            f"--name: an ablation '{path.name}' is already in {path.parent}; choose another --name, or go on with "
            f"--resume {path.name}"
        )
    return InputError(f"--name: '{path.name}' is in {path.parent} already and is no ablation; choose another --name")
