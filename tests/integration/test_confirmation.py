"""A confirmation in a real search: it is stopped on its way and goes on without training anything twice."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from gazetune.evaluate.margins import margins_file, read_margins
from gazetune.models.resolve import resolve_saved_model
from tests.commands import command, gazetune

SPACE = """
name: confirmed
base:
  data: {source: planted, pairs: 500, seed: 0}
  backbone: tiny
  gaze: {predictor: planted}
  train: {batch_size: 32}
space:
  optim.learning_rate: {choice: [1.0e-3, 3.0e-3]}
  fusion.kind: {choice: [none, concat, add]}
try_first:
  - {fusion.kind: add, optim.learning_rate: 3.0e-3}
  - {fusion.kind: concat, optim.learning_rate: 3.0e-3}
  - {fusion.kind: none, optim.learning_rate: 1.0e-3}
search:
  {trials: 3, sampler: random, scheduler: none, seed: 1, confirm: {top: 2, folds: 2, seeds: 1, controls: [shuffled]}}
resources: {workers: 1, cpus_per_worker: 1}
"""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the search; SIGTERM came when one training of its confirmation was over."""
    folder = tmp_path_factory.mktemp("confirmation")
    (folder / "space.yaml").write_text(SPACE)
    line = command("search", folder / "space.yaml", "--storage", folder / "runs")
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as search:
        assert search.stderr is not None
        said = ""
        for told in search.stderr:
            said += told
            if re.search(r"confirmation 1 of \d+: fold-", told):
                search.send_signal(signal.SIGTERM)
    assert search.returncode == 130, said[-3000:]
    assert "--resume confirmed" in said.splitlines()[-1]
    return folder / "runs" / "confirmed"


def ended_at(folder: Path) -> dict[str, int]:
    return {file.parent.name: file.stat().st_mtime_ns for file in folder.glob("baselines/*/result.json")}


@pytest.fixture(scope="module")
def before(stopped: Path) -> dict[str, int]:
    """When each training that was over by then had ended."""
    return ended_at(stopped)


@pytest.fixture(scope="module")
def document(stopped: Path, before: dict[str, int]) -> dict[str, Any]:
    assert before
    done = gazetune("search", "--resume", "confirmed", "--storage", stopped.parent, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_what_was_trained_before_the_stop_is_not_trained_again(
    document: dict[str, Any], stopped: Path, before: dict[str, int]
) -> None:
    after = ended_at(stopped)
    assert {name: after[name] for name in before} == before
    arms = document["confirmation"]["arms"]
    assert len(after) == document["confirmation"]["trainings"] == 4 + len(arms)
    assert not list(stopped.glob("baselines/*/last")), "no checkpoint is left"


def test_the_choice_rests_on_every_pair_outside_test(document: dict[str, Any], stopped: Path) -> None:
    confirmation, (data,) = document["confirmation"], document["data"]
    outside = data["pairs"]["train"] + data["pairs"]["validation"]
    assert [each["n"] for each in confirmation["candidates"]] == [outside, outside]
    best = max(confirmation["candidates"], key=lambda each: each["accuracy"])
    assert document["best"]["id"] == best["id"]
    for trial in (each["id"] for each in confirmation["candidates"]):
        folds = [
            read_margins(margins_file(folder, "validation")) for folder in stopped.glob(f"baselines/fold-{trial}-*")
        ]
        assert len(np.unique(np.concatenate([fold.items for fold in folds]))) == outside
        assert not {*folds[0].groups} & {*folds[1].groups}


def test_the_kept_model_is_what_the_name_means(document: dict[str, Any], stopped: Path) -> None:
    kept = stopped / document["confirmation"]["model"] / "best"
    assert (
        resolve_saved_model("confirmed", stopped.parent) == resolve_saved_model("confirmed:1", stopped.parent) == kept
    )
    assert (kept / "weights.safetensors").is_file()
    scored = read_margins(margins_file(kept.parent, "test"))
    assert scored.correctness.mean() == pytest.approx(document["best"]["test"]["accuracy"])


def test_winner_runs_without_gaze_and_controls_meet_on_the_same_test_pairs(document: dict[str, Any]) -> None:
    arms = document["confirmation"]["arms"]
    assert {"winner", "winner-without-gaze", "best-none-trial", "control-shuffled"} == set(arms)
    for name, arm in arms.items():
        assert arm["seeds"] == arms["winner"]["seeds"]
        assert arm["test"]["n"] == document["best"]["test"]["n"]
        if name != "winner":
            difference = document["best"]["test"]["accuracy"] - arm["test"]["accuracy"]
            assert arm["compared"]["difference"] == pytest.approx(difference)
    searched = document["confirmation"]["searched"]
    complete = [trial for trial in document["trials"] if trial["state"] == "COMPLETE"]
    assert searched["val_accuracy"] == max(trial["val_accuracy"] for trial in complete)
    assert searched["test"]["n"] == document["best"]["test"]["n"]


def test_each_training_is_a_finished_mlflow_run_with_its_config(document: dict[str, Any], stopped: Path) -> None:
    client = mlflow.MlflowClient(document["tracking_uri"])
    (experiment,) = client.search_experiments(filter_string="name = 'gazetune'")
    runs = client.search_runs([experiment.experiment_id], "tags.role = 'confirmation'")
    by_name = {run.data.tags["gazetune.trial"]: run for run in runs}
    assert set(by_name) == set(ended_at(stopped))
    for name, run in by_name.items():
        assert run.info.status == "FINISHED"
        assert ("test/accuracy" in run.data.metrics) == (not name.startswith("fold-"))
        assert ("train.fold" in run.data.params) == name.startswith("fold-")


def test_the_report_says_what_the_search_alone_would_have_said(document: dict[str, Any]) -> None:
    report = Path(document["report"]).read_text()
    assert f"The search alone would have taken trial {document['confirmation']['searched']['id']}" in report
    assert "## Candidates on other folds" in report and "## Confirmed on test, means over seeds" in report
