"""Part `resume`: a run that goes on from its checkpoint does what the run that wrote it would have done.

For ZeRO stages 0, 2 and 3, and for optimiser states and weights in CPU memory. A run trains in bf16 to its checkpoint
and, in the same process, two steps more; another one is restored from the folder and takes the same steps.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.tiny import tiny_tokenizer
from gazetune.train.loop import Training
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import Worker
from tests.bench.step_data import config_of, made_up
from tests.gpu.smoke.sizes import Size

SETTINGS = ((0, "none"), (2, "none"), (3, "none"), (2, "cpu"), (3, "cpu"))
"""Stage and offload."""
PAIRS, STEPS = 8, 2
"""Steps before the checkpoint, and after it."""
TOLERANCES = {"cpu": 0.0, "cuda": 2e-2}
"""Between losses after the checkpoint, and between weights beside their largest value. Backward passes of flash kernels
add up in any order."""


def resume_all(size: Size, worker: Worker) -> dict[str, Any]:
    """Save and resume in each setting; the size does not matter."""
    with TemporaryDirectory() as name:
        data = with_tokenizer(made_up(np.random.default_rng(0), np.full(PAIRS, 8), np.full((PAIRS, 2), 24)), Path(name))
        found = [
            resume_setting(stage, offload, data, Path(name) / f"{stage}-{offload}", worker)
            for stage, offload in SETTINGS
        ]
    return {"settings": found, "problems": [each["problem"] for each in found if each["problem"]]}


def resume_setting(stage: int, offload: str, data: PreparedData, folder: Path, worker: Worker) -> dict[str, Any]:
    """Save and resume in one setting; `problem` is empty where both runs are alike."""
    config = resumed_config(stage, offload)
    first = _start(config, data, folder, worker)
    first.run(lambda report: False)  # ends after the first evaluation, with a checkpoint
    saved = _copy_state(first)
    losses, after = _go_on(first)
    second = _start(config, data, folder, worker)
    begun = second.progress.step
    restored = _copy_state(second)
    other_losses, other_after = _go_on(second)
    apart = max(abs(one - other) for one, other in zip(losses, other_losses, strict=True))
    weights_apart = max(_relative_difference(after[name], other_after[name]) for name in after)
    problem = ""
    if begun != STEPS:
        problem = f"began after step {begun}"
    elif saved.keys() != restored.keys() or not all(torch.equal(saved[name], restored[name]) for name in saved):
        problem = "weights or moments are not those that were saved"
    elif not max(apart, weights_apart) <= TOLERANCES[worker.device.type]:
        problem = f"losses differ by {apart:.2g} and weights by {weights_apart:.2g} after the checkpoint"
    return {
        "stage": stage,
        "offload": offload,
        "loss_difference": apart,
        "weight_difference": weights_apart,
        "problem": problem and f"stage {stage}, offload {offload}: {problem}",
    }


def resumed_config(stage: int, offload: str) -> Config:
    """Return the config of a run of the tiny backbone with an evaluation after `STEPS` steps, and `STEPS` after it."""
    return config_of(
        fusion={"kind": "add"},
        optim={"learning_rate": 1e-3},
        train={"batch_size": PAIRS // 2, "epochs": STEPS, "eval_every": STEPS, "precision": "bf16"},
        deepspeed={"stage": stage, "offload": offload},
    )


def with_tokenizer(data: PreparedData, folder: Path) -> PreparedData:
    """Return the data with a folder that has a tokenizer, which is saved with a model."""
    tiny_tokenizer(["a text"]).save_pretrained(folder / "tokenizer")
    return dataclasses.replace(data, folder=folder)


def _start(config: Config, data: PreparedData, folder: Path, worker: Worker) -> Training:
    return Training(config, data, folder, worker, load_worker_backbone(config, worker))


def _go_on(run: Training) -> tuple[list[float], dict[str, Tensor]]:
    """Take the steps after the checkpoint and end; return their losses, and weights and moments after them."""
    for step in range(STEPS, 2 * STEPS):
        run.train_step(step)
    losses, state = [float(each) for each in run._losses], _copy_state(run)
    run.close()
    return losses, state


def _copy_state(run: Training) -> dict[str, Tensor]:
    return {name: each.clone() for name, each in run.state.gather().tensors}


def _relative_difference(one: Tensor, other: Tensor) -> float:
    largest = float(one.abs().max()) or 1.0
    return float((one - other).abs().max()) / largest
