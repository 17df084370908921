"""Real DeepSpeed on worker processes: stages agree, and a run goes on where it was, on other workers too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from gazetune.config import Config
from gazetune.reward.data.prepared_data import prepare_data
from tests.commands import BOUND, ended

BASE = {
    "data": {"source": "planted", "pairs": 900},
    "gaze": {"predictor": "planted"},
    "fusion": {"kind": "concat"},
    "optim": {"learning_rate": 1e-3},
    "train": {"batch_size": 30, "eval_every": 5},
    "resources": {"workers": 2},
}
WITHOUT_DROPOUT = {"projector": {"dropout": [0.0, 0.0]}, "adapter": {"kind": "full"}}

WORKER = """
import sys
from pathlib import Path
import torch, yaml
torch.set_num_threads(1)
from gazetune.config.config_file import build_config
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.train.loop import Training
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group

worker = join_worker_group()
folder = Path(sys.argv[1])
for file in sorted(folder.glob("*.yaml")):
    config = build_config(yaml.safe_load(file.read_text()), str(file))
    data = prepare_data(config, Path(sys.argv[2]))
    training = Training(config, data, folder / file.stem, worker, load_backbone("tiny", torch.float32))
    training.run(lambda report: not file.stem.startswith("begun"))
    training.close()
leave_worker_group()
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    prepare_data(Config.model_validate(BASE), folder)
    return folder


def start(trees: dict[str, dict], cache: Path, folder: Path, workers: int) -> subprocess.Popen:
    """Start workers that train one configuration after another."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tree in trees.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(tree))
    (folder / "worker.py").write_text(WORKER)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"]
    return subprocess.Popen(
        [sys.executable, *launcher, str(folder / "worker.py"), str(folder), str(cache)],
        stdout=(folder / "log").open("a"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(trees: dict[str, dict], cache: Path, folder: Path, workers: int = 2) -> dict[str, list[float]]:
    """Run to the end and return the loss of every step of each configuration."""
    process = start(trees, cache, folder, workers)
    assert ended(process, folder / "log") == 0, (folder / "log").read_text()[-3000:]
    return {name: losses(folder / name) for name in trees}


def losses(folder: Path) -> list[float]:
    progress = json.loads((folder / "last" / "progress.json").read_text())
    return [loss for evaluation in progress["evaluations"] for loss in evaluation["train_losses"]]


def with_stage(stage: int) -> dict:
    override = {"zero_optimization": {"stage3_param_persistence_threshold": 0}} if stage == 3 else {}
    return {**BASE, **WITHOUT_DROPOUT, "deepspeed": {"stage": stage, "override": override}}


UNEVEN = {**BASE, **WITHOUT_DROPOUT, "train": {"batch_size": 13, "accumulate": 2, "eval_every": 5}}
# Rates are low and few steps are compared: Adam makes much of the last digits that a sum in another order differs in.
# 10 pairs a step: two workers have 5 each, three have 4, 3 and 3.
HANDED_ON = {
    **BASE,
    **WITHOUT_DROPOUT,
    "optim": {"learning_rate": 2e-5},
    "deepspeed": {"stage": 2},
    "train": {"batch_size": 10, "eval_every": 4, "epochs": 0.4},
}
COMPARED = 10
"""Steps after a run was handed on whose losses are compared."""
# Dropout stays on: its draws must come back too.
KILLED = {stage: {**BASE, "deepspeed": {"stage": stage}} for stage in (2, 3)}


@pytest.fixture(scope="module")
def two_workers(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where two workers trained each configuration, and nobody killed them."""
    folder = tmp_path_factory.mktemp("two")
    trees = {f"stage-{stage}": with_stage(stage) for stage in (0, 2, 3)}
    trees |= {"uneven": UNEVEN, **{f"killed-{stage}": tree for stage, tree in KILLED.items()}}
    finish({**trees, "whole": HANDED_ON, "begun": HANDED_ON}, cache, folder)
    return folder


def test_zero_stages_0_2_and_3_on_two_workers_have_the_same_losses(two_workers: Path) -> None:
    curves = {stage: losses(two_workers / f"stage-{stage}")[:20] for stage in (0, 2, 3)}
    assert len(curves[0]) == 20
    assert max(curves[0]) - min(curves[0]) > 0.05, "the losses must move for this to say anything"
    np.testing.assert_allclose(curves[2], curves[0], atol=1e-4)
    np.testing.assert_allclose(curves[3], curves[0], atol=1e-4)


def test_one_worker_has_the_losses_of_two_with_uneven_shards(two_workers: Path, cache: Path, tmp_path: Path) -> None:
    one = finish({"uneven": UNEVEN}, cache, tmp_path, workers=1)["uneven"]
    np.testing.assert_allclose(losses(two_workers / "uneven")[:20], one[:20], atol=1e-4)


def test_three_workers_go_on_with_what_two_began(two_workers: Path, cache: Path, tmp_path: Path) -> None:
    shutil.copytree(two_workers / "begun", tmp_path / "handed-on")
    expected, kept = losses(two_workers / "whole"), len(losses(two_workers / "begun"))
    assert 0 < kept < kept + COMPARED <= len(expected)
    assert np.ptp(expected[:COMPARED]) > 0.02, "the losses must move for this to say anything"
    resumed = finish({"handed-on": HANDED_ON}, cache, tmp_path, workers=3)["handed-on"]
    assert len(resumed) == len(expected)
    until = kept + COMPARED
    np.testing.assert_allclose(resumed[:until], expected[:until], rtol=0, atol=1e-6)


@pytest.mark.parametrize("stage", [pytest.param(2, marks=pytest.mark.long("training")), 3])
def test_a_run_killed_mid_epoch_resumes_to_the_undisturbed_curve(
    stage: int, two_workers: Path, cache: Path, tmp_path: Path
) -> None:
    trees, expected = {"killed": KILLED[stage]}, losses(two_workers / f"killed-{stage}")
    process = start(trees, cache, tmp_path, 2)
    deadline = time.monotonic() + BOUND
    while not (tmp_path / "killed" / "last" / "progress.json").exists():
        assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "log").read_text()[-3000:]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = len(losses(tmp_path / "killed"))
    assert 0 < kept < len(expected), "it must die mid-epoch"
    resumed = finish(trees, cache, tmp_path)["killed"]
    assert len(resumed) == len(expected)
    np.testing.assert_allclose(resumed, expected, atol=1e-6)
