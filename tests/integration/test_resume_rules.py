"""Resuming makes the decisions of an undisturbed search; a warm start knows an earlier one; one driver at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from gazetune.search.stop import request_stop
from gazetune.search.study.own_trials import is_taken_over, own_trials
from tests.commands import BOUND, command, gazetune

# One slot, whatever the machine: its two workers take all CPUs.
SPACE = f"""
base:
  data: {{source: planted, pairs: 1500}}
  gaze: {{predictor: planted}}
  train: {{batch_size: 32}}
  fusion: {{kind: add}}
space:
  optim.learning_rate: {{log_uniform: [1.0e-5, 1.0e-2]}}
search:
  {{trials: TRIALS,
    sampler: SAMPLER, scheduler: SCHEDULER, rungs: 200, reduction: 2, level: 0.3, confirm: off, seed: 1}}
resources: {{workers: 2, cpus_per_worker: {len(os.sched_getaffinity(0)) // 2}}}
"""


def space(folder: Path, trials: int, sampler: str, scheduler: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(SPACE.replace("TRIALS", str(trials)).replace("SAMPLER", sampler).replace("SCHEDULER", scheduler))
    return path


def search(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return gazetune("search", *arguments, "--storage", folder / "runs")


def study(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/runs/{name}/study.db")


def decisions(folder: Path, name: str) -> list[tuple[Any, ...]]:
    trials = study(folder, name).trials
    return [(trial.state.name, trial.params, trial.intermediate_values, trial.values) for trial in trials]


def disturbed(folder: Path, *arguments: str | Path, end: Callable[[subprocess.Popen[bytes]], None]) -> int:
    """Run a command until a trial that was not there before is in the middle of its training, and end it there."""
    margins = folder / "runs" / "disturbed" / "trials"
    before = {path.parts[-4] for path in margins.glob("*/margins/*/margins.npy")}
    line = command("search", *arguments, "--storage", folder / "runs")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(line, stderr=log, stdout=log, start_new_session=True)
    try:
        deadline = time.monotonic() + BOUND
        while not {path.parts[-4] for path in margins.glob("*/margins/*/margins.npy")} - before - {"0000"}:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            time.sleep(0.02)
        end(process)
        return process.wait(timeout=90)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.long("rules")
@pytest.mark.parametrize("scheduler", ["paired", "median", "hyperband", "asha"])
def test_a_resumed_search_decides_as_an_undisturbed_one(scheduler: str, tmp_path: Path) -> None:
    file = space(tmp_path, 7, "tpe", scheduler)
    whole = search(tmp_path, file, "--name", "whole")
    assert whole.returncode == 0, whole.stderr[-3000:]
    assert disturbed(tmp_path, file, "--name", "disturbed", end=lambda process: process.kill()) == -signal.SIGKILL
    ended = disturbed(
        tmp_path, "--resume", "disturbed", end=lambda process: request_stop(tmp_path / "runs", "disturbed", None)
    )
    assert ended == 130, (tmp_path / "log").read_text()[-3000:]
    assert len(decisions(tmp_path, "disturbed")) < 7
    last = search(tmp_path, "--resume", "disturbed")
    assert last.returncode == 0, last.stderr[-3000:]
    expected = decisions(tmp_path, "whole")
    assert len(expected) == 7
    if scheduler != "hyperband":  # which has a bracket that stops nothing
        assert {state for state, *_ in expected} == {"COMPLETE", "PRUNED"}, "else there is nothing to decide"
    assert decisions(tmp_path, "disturbed") == expected


@pytest.mark.long("rules")
def test_a_search_that_starts_from_another_one_knows_its_trials_and_its_name_is_its_own(tmp_path: Path) -> None:
    file = space(tmp_path, 3, "tpe", "median")  # which stops none of the first three
    cold = search(tmp_path, file, "--name", "cold")
    assert cold.returncode == 0, cold.stderr[-3000:]

    def look_while_it_runs(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGSTOP)  # or it would be done before the others have looked
        second = search(tmp_path, "--resume", "disturbed")
        assert second.returncode == 2 and "is running already" in second.stderr.splitlines()[-1]
        file.write_text(file.read_text().replace("1.0e-2]", "1.0e-3]"))
        other = search(tmp_path, file, "--name", "disturbed")
        assert other.returncode == 2, other.stderr
        line = other.stderr.splitlines()[-1]
        assert "with another space: " in line and "space.optim.learning_rate: " in line and " -> " in line
        process.kill()

    disturbed(tmp_path, file, "--name", "disturbed", "--warm-start", "cold", end=look_while_it_runs)
    last = search(tmp_path, "--resume", "disturbed")
    assert last.returncode == 0, last.stderr[-3000:]
    before, after = study(tmp_path, "cold"), study(tmp_path, "disturbed")
    history = [trial for trial in after.trials if is_taken_over(trial)]
    assert [trial.params for trial in history] == [trial.params for trial in before.trials]
    assert [trial.values for trial in history] == [trial.values for trial in before.trials]
    own = own_trials(after)
    assert len(own) == 3 and {trial.state.name for trial in own} == {"COMPLETE"}, "history is not counted"
    assert not {trial.params["optim.learning_rate"] for trial in own} & {
        trial.params["optim.learning_rate"] for trial in before.trials
    }, "the same seed, and the cold search's trials known"
