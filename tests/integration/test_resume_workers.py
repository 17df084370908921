"""A run of two workers that was killed goes on with one or three, at another ZeRO stage, as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.commands import BOUND, command, ended

# No dropout: its draws belong to a worker, so they are others on another number of workers. Rates are low and few steps
# are compared, because Adam makes much of the last digits that a sum in another order differs in.
RUN = {
    "data": {"source": "planted", "pairs": 900},
    "gaze": {"predictor": "planted"},
    "fusion": {"kind": "concat"},
    "projector": {"dropout": [0.0, 0.0]},
    "adapter": {"kind": "full"},
    "optim": {"learning_rate": 2e-5},
    # 10 pairs a step: two workers have 5 each, three have 4, 3 and 3.
    "train": {"batch_size": 10, "eval_every": 4, "epochs": 0.4},
    "resources": {"workers": 2},
}
COMPARED = 10
"""Steps after the kill whose losses are compared."""


def start(storage: Path, name: str, *settings: str) -> subprocess.Popen[bytes]:
    (storage / "run.yaml").write_text(yaml.safe_dump(RUN))
    overrides = [word for setting in settings for word in ("--set", setting)]
    return subprocess.Popen(
        command("train", storage / "run.yaml", "--name", name, "--storage", storage, *overrides),
        stdout=(storage / f"{name}.log").open("a"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(storage: Path, name: str, *settings: str) -> list[float]:
    """Run to the end and return the loss of every step."""
    process = start(storage, name, *settings)
    log = storage / f"{name}.log"
    assert ended(process, log) == 0, log.read_text()[-3000:]
    return losses(storage / name)


def losses(folder: Path) -> list[float]:
    progress = json.loads((folder / "last" / "progress.json").read_text())
    return [loss for evaluation in progress["evaluations"] for loss in evaluation["train_losses"]]


def kill_after_the_first_checkpoint(storage: Path, name: str, *settings: str) -> int:
    """Kill all processes of a run with -9 in its middle; return how many steps its checkpoint has."""
    process = start(storage, name, *settings)
    deadline = time.monotonic() + BOUND
    while not (storage / name / "last" / "progress.json").exists():
        log = (storage / f"{name}.log").read_text()[-3000:]
        assert time.monotonic() < deadline and process.poll() is None, log
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (storage / name / "result.json").exists(), "it must die before its end"
    return len(losses(storage / name))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def undisturbed(storage: Path) -> list[float]:
    """The losses of two workers that nobody killed."""
    found = finish(storage, "undisturbed")
    assert np.ptp(found[:COMPARED]) > 0.02, "the losses must move for this to say anything"
    return found


@pytest.mark.long("kills")
@pytest.mark.parametrize("stage", [2, 3])
def test_a_killed_run_of_two_workers_goes_on_with_one_and_with_three(
    stage: int, storage: Path, undisturbed: list[float]
) -> None:
    killed = f"killed-{stage}"
    kept = kill_after_the_first_checkpoint(storage, killed, f"deepspeed.stage={stage}")
    assert 0 < kept <= len(undisturbed) - COMPARED
    until = kept + COMPARED
    for workers in (1, 3):
        changes = ("deepspeed.stage=2", f"tracking.uri=sqlite:///{storage}/other.db") if workers == 1 else ()
        name = f"{killed}-{workers}"
        shutil.copytree(storage / killed, storage / name)
        settings = (f"deepspeed.stage={stage}", f"resources.workers={workers}", "resources.cpus_per_worker=0.5")
        resumed = finish(storage, name, *settings, *changes)
        assert len(resumed) == len(undisturbed)
        np.testing.assert_allclose(resumed[:until], undisturbed[:until], rtol=0, atol=1e-6, err_msg=name)
        assert f"workers: {workers}" in (storage / name / "config.yaml").read_text()
