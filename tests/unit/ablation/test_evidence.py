"""The report of an ablation from its folder: nothing is trained, the files are written as a driver writes them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from gazetune.ablation.evidence import read_run_evidence
from gazetune.ablation.folder import AblationFolder
from gazetune.cli.main import main
from gazetune.errors import InputError
from gazetune.evaluate.margins import Margins, margins_file, write_margins
from tests.report_evidence import make_ablation


@pytest.fixture
def folder(tmp_path: Path) -> AblationFolder:
    """Return an ablation with its cells, each with two evaluations; its document is not written yet."""
    made = AblationFolder(tmp_path / "study")
    made.path.mkdir()
    (made.path / "study.yaml").write_text("name: study\n")
    ablation = make_ablation().ablation
    assert ablation is not None
    random, names = np.random.default_rng(0), np.arange(60).astype(str)
    for cell in ablation.cells:
        run = made.trial_folder(cell.id)
        run.mkdir(parents=True)
        (run / "config.yaml").write_text("{}\n")
        (run / "margins" / "2304").mkdir(parents=True)
        (run / "cell.json").write_text(json.dumps(asdict(cell)))
        made.write_curve(cell.id, [(256, 0.6), (2304, 0.8)])
        words = random.integers(5, 50, (60, 2)).astype(np.int32)
        write_margins(margins_file(run, "test"), Margins(names, names, random.normal([0.9, 0.1], 1.0, (60, 2)), words))
    return made


def write_document(folder: AblationFolder) -> None:
    ablation = make_ablation().ablation
    assert ablation is not None
    folder.write_document(ablation.to_json_text())


def test_a_finished_ablation_has_curves_margins_commands_and_its_page(folder: AblationFolder) -> None:
    write_document(folder)
    evidence = read_run_evidence(folder.path.parent, "study")
    assert evidence.ablation is not None and evidence.state == "finished"
    assert evidence.curves[0].points == ((256, 0.6), (2304, 0.8))
    (scored,) = evidence.scored
    assert scored.label == "the arm real, seed 0" and scored.split == "test"
    assert evidence.trial_commands["0003"] == f"gazetune reproduce study:real/0 --storage {folder.path.parent}"
    assert main(["report", "study", "--storage", str(folder.path.parent)]) == 0
    page = (folder.path / "report.html").read_text()
    assert page.index("Supported: gaze helps.") < page.index("<svg") and page.count("<svg") == 7


def test_an_ablation_that_is_not_over_has_a_report_of_its_cells(folder: AblationFolder) -> None:
    assert main(["report", "study", "--storage", str(folder.path.parent)]) == 0
    page = (folder.path / "report.html").read_text()
    assert "This ablation was stopped: 12 cells have ended." in page
    assert "gazetune ablate --resume study" in page
    folder.lock()
    try:
        assert "still runs" in read_run_evidence(folder.path.parent, "study").notes[0]
    finally:
        folder.unlock()


def test_a_document_that_is_none_is_refused_by_name(folder: AblationFolder) -> None:
    folder.document.write_text('{"kind": "ablation", "name": "study"}')
    with pytest.raises(InputError, match=r"ablation\.json: storage is missing; accepted: the document of a finished"):
        read_run_evidence(folder.path.parent, "study")
    with pytest.raises(InputError, match=r"there is no search or ablation 'other' .*; accepted: study"):
        read_run_evidence(folder.path.parent, "other")
