"""A worker dies and the search goes on; the user interrupts it, everything ends, and resuming finishes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
import optuna
import psutil
import pytest

SPACE = """
name: disturbed
base:
  data: {source: planted, pairs: 3000}
  gaze: {predictor: planted}
  train: {batch_size: 32}
  fusion: {kind: add}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-3]}
search: {trials: 8, sampler: random, scheduler: asha, rungs: 300, reduction: 2, seed: 0}
resources: {workers: 2}
"""


def wait_for(
    what: str, condition: Callable[[], Any], process: subprocess.Popen[bytes], log: Path, seconds: float = 150
) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, f"no {what} in {seconds} s: {log.read_text()[-3000:]}"
        time.sleep(0.05)
    return found


def train_workers(parent: int) -> list[psutil.Process]:
    """Processes of the search's Train workers that have a rank."""
    return [child for child in psutil.Process(parent).children(recursive=True) if is_train_worker(child)]


def is_train_worker(process: psutil.Process) -> bool:
    return "RayTrainWorker" in process_name(process)


@contextmanager
def running_search(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start the search and give its process and log; it is gone afterwards, whatever happened."""
    (folder / "space.yaml").write_text(SPACE)
    log = folder / "log"
    arguments = ["search", folder / "space.yaml", "--storage", folder / "runs"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gazetune.cli.main", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=log.open("w"),
        start_new_session=True,
    )
    try:
        checkpoint = folder / "runs" / "disturbed" / "trials" / "0000" / "last" / "progress.json"
        wait_for("checkpoint of the first trial", checkpoint.exists, process, log)
        yield process, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def everything_ends(children: list[psutil.Process], agents_too: bool = True) -> None:
    """Ray's two agents look for their raylet every so often; after a SIGKILL they may outlive it for minutes."""
    waited = [child for child in children if agents_too or "Agent" not in process_name(child)]
    _, alive = psutil.wait_procs(waited, timeout=60)
    for agent in set(children) - set(waited):
        with suppress(psutil.Error):
            agent.kill()
    assert not alive, f"left behind: {[child.name() for child in alive]}"


def process_name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_killed_worker_costs_no_trial_and_an_interrupted_search_is_resumed(tmp_path: Path) -> None:
    with running_search(tmp_path) as (process, log):
        workers = wait_for("worker", lambda: train_workers(process.pid), process, log)
        workers[-1].send_signal(signal.SIGKILL)
        wait_for("finished trial after the kill", lambda: "trial 0001" in log.read_text(), process, log)
        text = log.read_text()
        assert "trial 0000 COMPLETE" in text, "the trial whose worker died must go on to its end"
        assert "FAIL" not in text
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=90) == 130, log.read_text()[-3000:]
    everything_ends(children)
    assert "go on with: gazetune search --resume disturbed" in log.read_text().splitlines()[-1]
    assert "RUNNING" not in states_of_runs(tmp_path)
    check_the_first_trial(tmp_path)
    check_the_resumed_search(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.0, 1.5, 4.0])
def test_a_search_whose_driver_was_killed_is_resumed(seconds: float, tmp_path: Path) -> None:
    with running_search(tmp_path) as (process, _):
        time.sleep(seconds)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
    everything_ends(children, agents_too=False)
    check_the_resumed_search(tmp_path)
    check_the_first_trial(tmp_path)


def gazetune(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gazetune.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def states_of_runs(folder: Path) -> list[str]:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    experiment = client.get_experiment_by_name("gazetune").experiment_id
    return [run.info.status for run in client.search_runs([experiment])]


def check_the_first_trial(folder: Path) -> None:
    """None of its evaluations and steps is lost, and none comes twice."""
    study = optuna.load_study(study_name="disturbed", storage=f"sqlite:///{folder}/runs/disturbed/study.db")
    steps = list(study.trials[0].intermediate_values)
    assert steps == sorted(set(steps))
    assert len(steps) == (4 if study.trials[0].state.name == "COMPLETE" else len(steps))
    client = mlflow.MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    experiment = client.get_experiment_by_name("gazetune").experiment_id
    (run,) = client.search_runs([experiment], "tags.`gazetune.trial` = '0000'")
    logged = [point.step for point in client.get_metric_history(run.info.run_id, "train/step_loss")]
    assert logged == list(range(1, len(logged) + 1))


def check_the_resumed_search(folder: Path) -> None:
    storage = f"sqlite:///{folder}/runs/disturbed/study.db"
    before = optuna.load_study(study_name="disturbed", storage=storage).trials
    finished = [trial for trial in before if trial.state.is_finished()]
    resume = ("search", "--resume", "disturbed", "--storage", str(folder / "runs"), "--json")
    done = gazetune(*resume)
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)
    assert [trial["id"] for trial in document["trials"]] == [f"{number:04d}" for number in range(8)]
    assert all(trial["state"] in ("COMPLETE", "PRUNED") for trial in document["trials"])
    after = optuna.load_study(study_name="disturbed", storage=storage).trials
    # What was finished is as it was, and what was begun has the parameters it began with.
    assert after[: len(finished)] == finished
    assert [trial.params for trial in after[: len(before)]] == [trial.params for trial in before]
    assert len({trial.params["optim.learning_rate"] for trial in after}) == 8
    assert len({trial["mlflow_run"] for trial in document["trials"]}) == 8
    assert set(states_of_runs(folder)) == {"FINISHED"}
    again = gazetune(*resume)
    assert again.returncode == 2 and "is finished" in again.stderr
