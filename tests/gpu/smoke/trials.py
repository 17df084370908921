"""Parts `kept_backbone` and `memory`: trials one after another in a process, as a warm slot runs them.

`kept_backbone` trains a config twice on one backbone. The second run starts from weights that are as they were, so its
losses are those of the first one. `memory` reads what stays on the device after each of four trials.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.train.loop import Training
from gazetune.train.processes.backbone_cache import BackboneCache
from gazetune.train.processes.worker_group import Worker
from tests.bench.gpu_step import bench_config, random_backbone
from tests.gpu.smoke.device import count_allocated_bytes
from tests.gpu.smoke.sizes import Size

STEPS = 2
LOSS_TOLERANCE = 2e-2
"""Between the losses of two equal runs. Backward passes of flash kernels add up in any order, in bf16."""
TRIALS = (("none", 8, False), ("add", 16, True), ("concat", 8, False), ("none", 8, False))
"""Of part `memory`: fusion, rank and gradient checkpointing."""


def train_on_kept_backbone(size: Size, worker: Worker) -> dict[str, Any]:
    """Train a config, keep the backbone, and train the config again on it."""
    data, config = size.draw_pairs(0), _config(size, "add")
    cache, backbone = BackboneCache(worker), random_backbone(size.backbone, "bf16", worker.device)
    before = sum_bits(backbone)
    first, backbone = train_briefly(config, data, backbone, worker)
    cache.keep_backbone(config, backbone)
    began = time.perf_counter()
    taken = cache.take_backbone(config)
    second, released = train_briefly(config, data, taken, worker)
    apart = max(abs(one - other) for one, other in zip(first, second, strict=True))
    problems = []
    if taken is not backbone:
        problems.append("the second trial got another backbone")
    if sum_bits(released) != before:
        problems.append("the weights of the backbone have changed")
    if not apart <= LOSS_TOLERANCE:
        problems.append(f"the losses are {first}, and {second} on the kept backbone")
    return {
        "first_losses": first,
        "second_losses": second,
        "largest_difference": apart,
        "seconds_of_second_trial": round(time.perf_counter() - began, 3),
        "problems": problems,
    }


def measure_memory_of_trials(size: Size, worker: Worker) -> dict[str, Any]:
    """Run four trials and read what is allocated after each."""
    data, backbone = size.draw_pairs(0), random_backbone(size.backbone, "bf16", worker.device)
    allocated = []
    for fusion, rank, checkpointing in TRIALS:
        _, backbone = train_briefly(_config(size, fusion, rank, checkpointing), data, backbone, worker)
        allocated.append(count_allocated_bytes(worker.device))
    kept = max(allocated) - allocated[0]
    problem = f"{kept} bytes more stay allocated than after the first trial"
    return {
        "allocated_bytes": allocated,
        "kept_bytes": kept,
        "problems": [problem] if kept > size.kept_bytes else [],
    }


def train_briefly(
    config: Config, data: PreparedData, backbone: PreTrainedModel, worker: Worker
) -> tuple[list[float], PreTrainedModel]:
    """Take `STEPS` steps; return their losses, and the backbone without its adapter."""
    with TemporaryDirectory() as folder:
        run = Training(config, data, Path(folder), worker, backbone)
    for step in range(STEPS):
        run.train_step(step)
    losses = [float(each) for each in run._losses]
    return losses, run.close()


def sum_bits(backbone: PreTrainedModel) -> int:
    """Return the sum of all 16-bit weights taken as integers: any weight that changes by a bit changes it."""
    with torch.no_grad():
        return sum(int(each.view(torch.int16).sum(dtype=torch.int64)) for each in backbone.parameters())


def _config(size: Size, fusion: str, rank: int = 8, checkpointing: bool = False) -> Config:
    config = bench_config("bf16", fusion, "packed", size.pairs, size.pass_tokens, checkpointing)
    return config.model_copy(update={"adapter": config.adapter.model_copy(update={"r": rank})})
