"""`gazetune ui`: a real server of MLflow, asked as a browser asks it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from gazetune.cli.main import main
from gazetune.tracking.mlflow_runs import Tracker


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search as far as MLflow and the command know it: a parent run and a trial."""
    storage = tmp_path_factory.mktemp("ui") / "runs"
    (storage / "mine" / "trials").mkdir(parents=True)
    tracker = Tracker.open(None, storage, "gazetune")
    parent = tracker.start_search("mine", "", {}, {})
    (storage / "mine" / "mlflow_run").write_text(parent)
    tracker.start_trial(parent, "0000", {"fusion.kind": "add", "gaze.features": ["TRT"]}, "", {})
    return storage


def test_the_page_has_the_runs_of_the_search_in_order_with_the_columns_that_matter(storage: Path) -> None:
    command = [sys.executable, "-m", "gazetune.cli.main", "ui", "mine", "--storage", str(storage), "--no-browser"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith(("MLflow: ", "gazetune: error")))
        address = line.removeprefix("MLflow: ").strip()
        server, _, page = address.partition("/#/")
        experiment = page.split("/")[1]
        assert page == f"experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey=gazetune-mine"
        asked = f"{server}/api/2.0/mlflow/experiments/get?experiment_id={experiment}"
        with urllib.request.urlopen(asked, timeout=60) as answer:
            tags = {tag["key"]: tag["value"] for tag in json.load(answer)["experiment"]["tags"]}
        view = json.loads(tags["mlflow.sharedViewState.gazetune-mine"])
        parent = (storage / "mine" / "mlflow_run").read_text()
        assert view["searchFilter"] == f"tags.`mlflow.parentRunId` = '{parent}'"
        assert view["orderByKey"] == "metrics.`val/accuracy_best`" and not view["orderByAsc"]
        assert {"metrics.`test/accuracy`", "params.`fusion.kind`"} <= set(view["selectedColumns"])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert process.returncode == 130
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", int(server.rpartition(":")[2])))


def test_a_name_that_is_no_run_and_a_port_that_is_taken_are_refused(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui", "other", "--storage", str(storage)]) == 2
    assert f"there is no run 'other' in {storage}; accepted: mine" in capsys.readouterr().err
    assert main(["ui", "mine", "--storage", str(storage), "--port", "70000"]) == 2
    assert "--port: 70000 is not accepted; accepted: 1 to 65535" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["ui", "mine", "--storage", str(storage), "--port", str(port)]) == 2
    assert f"--port: {port} is taken on this machine" in capsys.readouterr().err
