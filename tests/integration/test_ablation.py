"""One ablation from end to end: it is stopped in the middle, goes on, and one arm fails. All tests read its results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from mlflow import MlflowClient

from gazetune.evaluate.margins import read_margins
from gazetune.tracking.database_url import sqlite_url
from tests.commands import BOUND, command, gazetune, gazetune_json

STUDY = """
name: mine
base:
  data: {source: planted, pairs: 600}
  gaze: {predictor: planted}
  fusion: {kind: add}
  optim: {learning_rate: 3.0e-3}
  train: {batch_size: 32, eval_every: 7}
arms:
  none: {fusion.kind: none}
  real: {}
  noise: {gaze.control: noise}
  broken: {optim.learning_rate: 1.0e+30}
baseline: none
seeds: [0, 1]
resources: {workers: 1}
"""


class Finished(NamedTuple):
    storage: Path
    document: dict[str, Any]
    first_log: str
    second_log: str
    first_cells: dict[str, int]
    """Cells that were finished when the ablation was stopped -> when their record was written, in ns."""

    @property
    def folder(self) -> Path:
        return self.storage / "mine"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """The ablation, stopped by SIGTERM after its first COMPLETE cell and resumed."""
    storage = tmp_path_factory.mktemp("ablation") / "runs"
    (storage.parent / "study.yaml").write_text(STUDY)
    log = storage.parent / "log"
    with log.open("w") as err:
        line = command("ablate", storage.parent / "study.yaml", "--storage", storage)
        process = subprocess.Popen(line, stdout=err, stderr=err, start_new_session=True)
    try:
        deadline = time.monotonic() + BOUND
        while "COMPLETE" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=BOUND) == 130, log.read_text()[-3000:]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    records = list((storage / "mine" / "trials").glob("*/cell.json"))
    first = {record.parent.name: record.stat().st_mtime_ns for record in records}
    done = gazetune("ablate", "--resume", "mine", "--storage", storage, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    yield Finished(storage, json.loads(done.stdout), log.read_text(), done.stderr, first)


def test_a_stop_by_hand_says_how_to_go_on_and_finished_cells_are_not_run_again(finished: Finished) -> None:
    last = finished.first_log.strip().splitlines()[-1]
    assert "ablation 'mine' was stopped with" in last and f"ablate --resume mine --storage {finished.storage}" in last
    complete = [cell["id"] for cell in finished.document["cells"] if cell["state"] == "COMPLETE"]
    kept = [cell for cell in finished.first_cells if cell in complete]
    assert kept and f"{len(kept)} of 8 cells are finished" in finished.second_log
    for cell in kept:
        assert (finished.folder / "trials" / cell / "cell.json").stat().st_mtime_ns == finished.first_cells[cell]


def test_a_failed_arm_loses_no_other_and_is_named_with_its_reason(finished: Finished) -> None:
    states = {(cell["arm"], cell["seed"]): cell["state"] for cell in finished.document["cells"]}
    assert states == {
        (arm, seed): "FAIL" if arm == "broken" else "COMPLETE"
        for arm in ("none", "real", "noise", "broken")
        for seed in (0, 1)
    }
    assert finished.document["arms"]["broken"]["accuracy"] is None
    notes = "\n".join(finished.document["notes"])
    assert "(broken, seed 0) failed: " in notes and "broken and none are not compared: no cell of 'broken'" in notes


def test_the_document_has_the_comparisons_and_their_figures_are_those_of_the_margins(finished: Finished) -> None:
    compared = {(each["arm"], each["baseline"]): each for each in finished.document["comparisons"]}
    assert compared.keys() == {("real", "none"), ("real", "noise"), ("noise", "none")}
    arms: dict[str, list[np.ndarray]] = {}
    for cell in finished.document["cells"]:
        if cell["state"] == "COMPLETE":
            margins = read_margins(finished.folder / "trials" / cell["id"] / "test.parquet")
            arms.setdefault(cell["arm"], []).append(margins.correctness)
            assert cell["test_accuracy"] == pytest.approx(margins.correctness.mean())
    means = {name: float(np.mean(correct)) for name, correct in arms.items()}
    for (arm, baseline), each in compared.items():
        assert each["difference"] == pytest.approx(means[arm] - means[baseline])
    assert finished.document["arms"]["real"]["sd"] == pytest.approx(
        np.std([correct.mean() for correct in arms["real"]], ddof=1)
    )
    assert finished.document == json.loads((finished.folder / "ablation.json").read_text())
    assert finished.document["answer"] in finished.document["verdict"].lower()


def test_every_cell_has_its_margins_and_no_model(finished: Finished) -> None:
    for cell in finished.document["cells"]:
        folder = finished.folder / "trials" / cell["id"]
        left = {path.name for path in folder.rglob("*") if path.is_file()}
        assert "weights.safetensors" not in left and not (folder / "last").exists()
        assert {"config.yaml", "cell.json"} <= left
        if cell["state"] == "COMPLETE":
            assert {"test.parquet", "validation.parquet"} <= left


def test_mlflow_has_one_parent_and_a_run_for_each_cell_with_test_accuracy(finished: Finished) -> None:
    client = MlflowClient(sqlite_url(finished.storage / "mlflow.db"))
    experiment = client.get_experiment_by_name("gazetune")
    assert experiment is not None
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    parent = runs.pop(finished.document["mlflow_parent_run"])
    assert parent.data.tags["gazetune.ablation"] == "mine" and parent.info.status == "FINISHED"
    cells = {cell["mlflow_run"]: cell for cell in finished.document["cells"]}
    assert runs.keys() == cells.keys()
    for run_id, run in runs.items():
        cell = cells[run_id]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["gazetune.arm"] == cell["arm"] and run.data.params["train.seed"] == str(cell["seed"])
        if cell["state"] == "COMPLETE":
            assert run.data.metrics["test/accuracy"] == pytest.approx(cell["test_accuracy"])
        else:
            assert run.info.status == "FAILED"


def test_reports_and_comparisons_read_the_ablation(finished: Finished) -> None:
    assert "## Comparisons" in (finished.folder / "report.md").read_text()
    page = gazetune_json("report", "mine", "--storage", finished.storage)
    assert Path(page["html"]).read_text().count("<svg") >= 2
    (gain,) = [
        each for each in finished.document["comparisons"] if each["baseline"] == "none" and each["arm"] == "real"
    ]
    compared = gazetune_json("compare", "mine:real", "mine:none", "--storage", finished.storage)
    assert compared["comparisons"][0]["difference"] == pytest.approx(gain["difference"])


def test_a_finished_ablation_whose_cells_all_stand_is_not_run_again_and_a_name_is_taken_once(
    finished: Finished,
) -> None:
    study = finished.storage.parent / "study.yaml"
    again = gazetune("ablate", study, "--storage", finished.storage)
    assert again.returncode == 2 and "an ablation 'mine' is already in" in again.stderr
    searched = gazetune("search", study, "--storage", finished.storage)
    assert searched.returncode == 2 and "is a study" in searched.stderr
