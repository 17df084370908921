"""SIGTERM and SIGHUP stop a command as Ctrl-C does: 130, one line that says how to go on, and all of it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gazetune.search.status import read_status
from tests.commands import BOUND, command, gazetune

TRAIN = ["train", "--set", "data.source=planted", "--set", "gaze.predictor=planted", "--set", "data.pairs=2400"]
SPACE = """
name: mine
base:
  data: {source: planted, pairs: 1200}
  gaze: {predictor: planted}
  fusion: {kind: add}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-3]}
search: {confirm: off, trials: 2, sampler: random, scheduler: none, seed: 0}
resources: {workers: 1}
"""
"""Every trial has gaze, so the baseline without it is trained after them, which takes long enough to be stopped."""
STOPPING = "stopping; ending what runs can take up to a minute"


def stop(line: list[str], log: Path, sent: signal.Signals, sign: Callable[[str], bool]) -> list[str]:
    """Start a command, send it the signal when its log shows the sign, and return the lines of its log."""
    with log.open("w") as err, log.with_suffix(".out").open("w") as out:
        process = subprocess.Popen(line, stdout=out, stderr=err, start_new_session=True)
    try:
        deadline = time.monotonic() + BOUND
        while not sign(log.read_text()):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, sent)
        assert process.wait(timeout=BOUND) == 130, log.read_text()[-3000:]
        left = [child for child in children if "Agent" not in _command_line(child)]  # Ray's agents end a minute later
        assert not psutil.wait_procs(left, timeout=60)[1]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    shown = log.read_text()
    assert "Traceback" not in shown and "SIGTERM received" not in shown and "@     0x" not in shown
    lines = shown.splitlines()
    assert len([line for line in lines if line.endswith(STOPPING)]) == 1
    errors = [line for line in lines if line.startswith("gazetune: error: ")]
    assert errors == lines[-1:], "one line, the last one"
    return lines


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long("kills"))])
def test_training_that_is_terminated_goes_on_from_its_last_checkpoint(workers: int, tmp_path: Path) -> None:
    line = [*TRAIN, "--set", f"resources.workers={workers}", "--set", "train.eval_every=20", "--set", "train.epochs=4"]
    line += ["--storage", str(tmp_path), "--name", "mine"]
    shown = stop(command(*line), tmp_path / "log", signal.SIGTERM, lambda log: "validation accuracy" in log)
    assert shown[-1].endswith(
        "training 'mine' was stopped; it goes on from its last checkpoint with the same command and "
        f"--name mine --storage {tmp_path}"
    )
    assert any("preparing pairs and gaze" in each for each in shown)
    done = gazetune(*line, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    (begun,) = re.findall(r"training from (\d+)/\d+ pairs on", done.stderr)
    assert int(begun) > 0, "it went on after its last evaluation"
    assert json.loads(done.stdout)["name"] == "mine"


def test_a_search_that_is_terminated_while_it_is_prepared_is_known_and_can_go_on(tmp_path: Path) -> None:
    line = command("search", "smoke", "--storage", tmp_path, "--name", "early")
    shown = stop(line, tmp_path / "log", signal.SIGTERM, lambda log: "preparing data" in log)
    resume = f"gazetune search --resume early --storage {tmp_path}"
    assert shown[-1] == f"gazetune: error: search 'early' was stopped while it was prepared; go on with: {resume}"
    status = read_status(tmp_path, "early")
    assert (status.state, sum(status.states.values())) == ("interrupted", 0)


@pytest.mark.long("kills")
def test_a_search_that_is_stopped_in_each_of_its_phases_is_finished_whole(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    begin = command("search", tmp_path / "space.yaml", "--storage", tmp_path)
    resume = command("search", "--resume", "mine", "--storage", tmp_path)
    moments: list[tuple[list[str], signal.Signals, str]] = [
        (begin, signal.SIGTERM, "preparing data"),
        (resume, signal.SIGHUP, "starting workers"),
        (resume, signal.SIGINT, "slot(s) of"),
        (resume, signal.SIGTERM, "trial 0000 "),
        (resume, signal.SIGINT, "on the test split"),
    ]
    for line, sent, sign in moments:
        shown = stop(line, tmp_path / "log", sent, lambda log, sign=sign: sign in log)  # type: ignore[misc]
        assert "--resume mine --storage" in shown[-1]
    done = gazetune("search", "--resume", "mine", "--storage", tmp_path, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)
    assert [trial["id"] for trial in document["trials"]] == ["0000", "0001"]
    assert {trial["state"] for trial in document["trials"]} == {"COMPLETE"}
    assert set(document["baselines"]) == {"no_gaze", "shorter"}
