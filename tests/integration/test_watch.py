"""A running search is looked at, one of its trials and then all of it is stopped from outside; and one gives up."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest

from gazetune.search.status import SearchStatus, read_status
from gazetune.search.stop import request_stop
from tests.commands import BOUND, command, ended

SPACE = """
name: watched
base:
  data: {source: planted, pairs: 1500}
  gaze: {predictor: planted}
  train: {batch_size: 16}
  fusion: {kind: add}
space:
  optim.learning_rate: {RATES}
search: {confirm: off, trials: 8, sampler: random, scheduler: median, rungs: 100, reduction: 2}
"""


@contextmanager
def running_search(folder: Path, rates: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    (folder / "space.yaml").write_text(SPACE.replace("RATES", rates))
    log = folder / "log"
    process = subprocess.Popen(
        command("search", folder / "space.yaml", "--storage", folder / "runs"),
        stdout=subprocess.DEVNULL,
        stderr=log.open("w"),
        start_new_session=True,
    )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def seen(folder: Path, condition: Callable[[SearchStatus], bool], process: subprocess.Popen[bytes]) -> SearchStatus:
    """Look at the search until it is as wanted."""
    storage, log = folder / "runs", folder / "log"
    deadline = time.monotonic() + BOUND
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        if (storage / "watched" / "space.yaml").exists() and condition(status := read_status(storage, "watched")):
            return status
        time.sleep(0.1)


def test_a_trial_and_then_the_search_are_stopped_from_outside(tmp_path: Path) -> None:
    with running_search(tmp_path, "log_uniform: [1.0e-4, 1.0e-3]") as (process, log):
        status = seen(tmp_path, lambda now: any(trial.examples <= 100 for trial in now.running), process)
        assert status.state == "running" and status.driver is not None and status.driver.pid == process.pid
        wanted = next(trial.id for trial in status.running if trial.examples <= 100)
        request_stop(tmp_path / "runs", "watched", wanted)
        seen(tmp_path, lambda now: wanted not in [trial.id for trial in now.running], process)
        seen(tmp_path, lambda now: any(trial.id > wanted for trial in now.running), process)
        request_stop(tmp_path / "runs", "watched", None)
        assert process.wait(timeout=120) == 130, log.read_text()[-3000:]
    study = optuna.load_study(study_name="watched", storage=f"sqlite:///{tmp_path}/runs/watched/study.db")
    stopped = study.trials[int(wanted)]
    assert (stopped.state.name, stopped.user_attrs["record"]["reason"]) == ("PRUNED", "stopped by hand")
    assert "go on with: gazetune search --resume watched" in log.read_text().splitlines()[-1]
    status = read_status(tmp_path / "runs", "watched")
    assert status.state == "interrupted" and status.driver is None
    assert status.states["RUNNING"] >= 1, "what ran is to be gone on with"


@pytest.mark.long("rules")
def test_a_search_whose_first_trials_fail_alike_gives_up_and_can_be_resumed(tmp_path: Path) -> None:
    with running_search(tmp_path, "choice: [1.0e30, 2.0e30, 3.0e30]") as (process, log):
        assert ended(process, log) == 1, log.read_text()[-3000:]
    (error,) = [line for line in log.read_text().splitlines() if line.startswith("gazetune: error: ")]
    assert "given up, since the first 3 trials FAILed for the same reason" in error
    assert "of 8 trials finished; go on with: gazetune search --resume watched" in error
    status = read_status(tmp_path / "runs", "watched")
    assert status.state == "interrupted"
    assert 3 <= status.states["FAIL"] < 8
