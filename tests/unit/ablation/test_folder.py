"""The folder of an ablation: names, what counts as finished, and what is said of one that cannot go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gazetune.ablation.folder import AblationFolder
from gazetune.ablation.status import describe_ablation, list_ablations
from gazetune.ablation.stop import request_ablation_stop
from gazetune.ablation.study.study import Study
from gazetune.ablation.study.study_file import read_study
from gazetune.errors import InputError
from gazetune.evaluate.margins import Margins, margins_file, write_margins
from gazetune.report.ablation_document import CellRecord
from gazetune.search.space.shipped_spaces import find_space_file


@pytest.fixture
def study() -> Study:
    return read_study(find_space_file("controls"), seeds=(0,))


def finish_cell(folder: AblationFolder, study: Study, number: int, state: str = "COMPLETE") -> None:
    cell = study.cells[number]
    folder.trial_folder(cell.id).mkdir(parents=True, exist_ok=True)
    folder.write_cell(CellRecord(cell.id, cell.arm, cell.seed, state, 0.7, 0.7, 32, 1.0, "run"))  # type: ignore[arg-type]
    names, numbers = np.array(["a"]), np.ones((1, 2))
    margins = Margins(names, names, numbers, numbers.astype(np.int32))
    write_margins(margins_file(folder.trial_folder(cell.id), "test"), margins)


def test_a_cell_is_complete_with_its_record_and_its_margins(tmp_path: Path, study: Study) -> None:
    folder = AblationFolder.create(tmp_path, study)
    for number in range(3):
        finish_cell(folder, study, number, "FAIL" if number == 2 else "COMPLETE")
    assert list(folder.read_complete_cells(study)) == ["0000", "0001"], "one that failed is tried again"
    margins_file(folder.trial_folder("0001"), "test").unlink()
    assert list(folder.read_complete_cells(study)) == ["0000"], "without its margins nothing can be compared"


def test_an_ablation_goes_on_until_all_its_cells_are_complete(tmp_path: Path, study: Study) -> None:
    folder = AblationFolder.create(tmp_path, study)
    folder.write_document("{}")
    folder.unlock()
    again, read = AblationFolder.open_to_resume(tmp_path, "controls")
    assert (read.arms, read.seeds) == (study.arms, study.seeds)
    for number in range(len(study.cells)):
        finish_cell(again, study, number)
    again.unlock()
    with pytest.raises(InputError, match="--resume: ablation 'controls' is finished; its report is"):
        AblationFolder.open_to_resume(tmp_path, "controls")


def test_names_that_are_taken_or_not_there_are_told(tmp_path: Path, study: Study) -> None:
    AblationFolder.create(tmp_path, study).unlock()
    with pytest.raises(InputError, match=r"an ablation 'controls' is already in .* go on with --resume controls"):
        AblationFolder.create(tmp_path, study)
    with pytest.raises(InputError, match=r"there is no ablation 'other' in .*; accepted: controls"):
        AblationFolder.open_to_resume(tmp_path, "other")
    (tmp_path / "searched").mkdir()
    with pytest.raises(InputError, match=r"'searched' is in .* already and is no ablation"):
        AblationFolder.check_name_is_free(tmp_path, "searched")


def test_only_one_that_is_driven_is_asked_to_stop(tmp_path: Path, study: Study) -> None:
    folder = AblationFolder.create(tmp_path, study)
    assert "is asked to stop; go on later with: gazetune ablate --resume controls" in request_ablation_stop(
        tmp_path, "controls"
    )
    assert folder.requests.is_stop_requested(None)
    folder.unlock()
    with pytest.raises(InputError, match="ablation 'controls' is not running; go on with: gazetune ablate --resume"):
        request_ablation_stop(tmp_path, "controls")


def test_the_status_counts_cells_and_names_those_that_failed(tmp_path: Path, study: Study) -> None:
    folder = AblationFolder.create(tmp_path, study)
    finish_cell(folder, study, 0)
    finish_cell(folder, study, 1, "FAIL")
    folder.write_cell(CellRecord("0001", "real", 0, "FAIL", None, None, 0, 0.0, "run", "loss is nan"))
    folder.unlock()
    (status,) = list_ablations(tmp_path)
    assert (status.state, status.complete, status.cells) == ("interrupted", 1, 5)
    shown = describe_ablation(status)
    assert shown[0].startswith("ablation controls: interrupted; go on with: gazetune ablate --resume controls")
    assert shown[1:] == ["cells: 1 of 5 COMPLETE, 1 FAIL", "FAIL: cell real, seed 0: loss is nan"]
