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
import json, sys, threading, time
from pathlib import Path
import torch, yaml
torch.set_num_threads(1)
from transformers import AutoModel
from gazetune.config.config_file import build_config
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.train import checkpoint
from gazetune.train.loop import Training
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group

def backbone_of(name):
    backbone = load_backbone("tiny", torch.float32)
    if not name.startswith("large"):
        return backbone
    shape = backbone.config  # as the tiny one, with 115 MB of weights
    for key, value in {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 9, "head_dim": 64,
                       "num_attention_heads": 8, "num_key_value_heads": 8}.items():
        setattr(shape, key, value)
    torch.manual_seed(0)
    return AutoModel.from_config(shape)

def held():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024

def peak_of(action):
    peaks, acting = [before := held()], [True]
    def watch():
        while acting[0]:
            peaks.append(held())
            time.sleep(0.001)
    watcher = threading.Thread(target=watch)
    watcher.start()
    result = action()
    acting[0] = False
    watcher.join()
    peaks.append(held())
    return max(peaks) - before, result

worker = join_worker_group()
folder, gathered_bytes = Path(sys.argv[1]), checkpoint.GATHERED_BYTES
for file in sorted(folder.glob("*.yaml")):
    config = build_config(yaml.safe_load(file.read_text()), str(file))
    data = prepare_data(config, Path(sys.argv[2]))
    checkpoint.GATHERED_BYTES = 0 if "sharded" in file.stem else gathered_bytes
    training = Training(config, data, folder / file.stem, worker, backbone_of(file.stem))
    training.run(lambda report: "begun" not in file.stem)
    if file.stem == "large-whole":
        training.train_step(0)
        saving, _ = peak_of(lambda: training._evaluate(training.plan.total_steps))
        whole, state = peak_of(lambda: dict(training.state.gather().tensors))
        sizes = {"state": training.state.byte_count, "saving": saving, "whole": whole}
        (folder / f"memory-{worker.rank}.json").write_text(json.dumps(sizes))
        del state
    training.close()
    del training
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
        # Freed tensors go back to the system at once, so that the memory in use is seen and not what was.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"},
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
SHARDED = {**HANDED_ON, "deepspeed": with_stage(3)["deepspeed"]}
"""As `HANDED_ON`, with a checkpoint in shards, small as it is."""
LARGE = {
    **HANDED_ON,
    "data": {"source": "planted", "pairs": 60},
    "train": {"batch_size": 3, "eval_every": 2, "epochs": 0.25},
}
"""With so many weights that the checkpoint is in shards: 4 steps."""
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
    trees |= {"whole": HANDED_ON, "begun": HANDED_ON, "sharded-begun": SHARDED}
    finish({**trees, "large-whole": LARGE, "large-begun": LARGE}, cache, folder)
    return folder


def hand_on(two_workers: Path, folder: Path) -> dict[str, dict]:
    """Copy what two workers began, for others to go on with it, and return the configurations."""
    begun = {"handed-on": "begun", "sharded": "sharded-begun", "large": "large-begun"}
    for name, source in begun.items():
        shutil.copytree(two_workers / source, folder / name)
    return {"handed-on": HANDED_ON, "sharded": SHARDED, "large": LARGE}


def assert_went_on(resumed: dict[str, list[float]], two_workers: Path) -> None:
    """Assert that runs of `hand_on` have the losses of two workers that went on themselves."""
    expected, kept = losses(two_workers / "whole"), len(losses(two_workers / "begun"))
    assert 0 < kept < kept + COMPARED <= len(expected)
    assert np.ptp(expected[:COMPARED]) > 0.02, "the losses must move for this to say anything"
    until = kept + COMPARED
    for name, tolerance in (("handed-on", 1e-6), ("sharded", 1e-5)):  # the latter is at another stage
        assert len(resumed[name]) == len(expected)
        np.testing.assert_allclose(resumed[name][:until], expected[:until], rtol=0, atol=tolerance, err_msg=name)
    whole = losses(two_workers / "large-whole")[:4]  # its memory was measured in one more step
    assert len(losses(two_workers / "large-begun")) == 2 and np.ptp(whole) > 0.01
    np.testing.assert_allclose(resumed["large"], whole, rtol=0, atol=1e-4)


def test_zero_stages_0_2_and_3_on_two_workers_have_the_same_losses(two_workers: Path) -> None:
    curves = {stage: losses(two_workers / f"stage-{stage}")[:20] for stage in (0, 2, 3)}
    assert len(curves[0]) == 20
    assert max(curves[0]) - min(curves[0]) > 0.05, "the losses must move for this to say anything"
    np.testing.assert_allclose(curves[2], curves[0], atol=1e-4)
    np.testing.assert_allclose(curves[3], curves[0], atol=1e-4)


def test_one_worker_has_the_losses_of_two_with_uneven_shards_and_goes_on_with_what_two_began(
    two_workers: Path, cache: Path, tmp_path: Path
) -> None:
    found = finish({"uneven": UNEVEN, **hand_on(two_workers, tmp_path)}, cache, tmp_path, workers=1)
    np.testing.assert_allclose(losses(two_workers / "uneven")[:20], found["uneven"][:20], atol=1e-4)
    assert_went_on(found, two_workers)


def test_three_workers_go_on_with_what_two_began(two_workers: Path, cache: Path, tmp_path: Path) -> None:
    assert_went_on(finish(hand_on(two_workers, tmp_path), cache, tmp_path, workers=3), two_workers)
    shards = [f"shard-{rank:04d}.safetensors" for rank in range(3)]
    assert sorted(each.name for each in (tmp_path / "large" / "last").iterdir()) == ["progress.json", *shards]


def test_no_worker_gathers_a_large_training_state_to_save_it(two_workers: Path) -> None:
    """Memory beyond that of training, at its peak while an evaluation saves the best model and the checkpoint."""
    assert sorted(each.name for each in (two_workers / "large-begun" / "last").iterdir()) == [
        "progress.json",
        "shard-0000.safetensors",
        "shard-0001.safetensors",
    ]
    main, other = (json.loads((two_workers / f"memory-{rank}.json").read_text()) for rank in (0, 1))
    state = main["state"]
    assert state > 300e6
    assert main["whole"] > 0.9 * state, "the measure must see a state that is gathered"
    assert other["whole"] < 0.2 * state, "rank 0 alone keeps what is gathered"
    assert main["saving"] < 0.2 * state and other["saving"] < 0.2 * state


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
