"""How much memory the engine of a small model takes, measured while it trains a step."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from gazetune.config import Config
from gazetune.reward.model.precision import RewardHead, cast_parameters
from gazetune.train.limits.model_size import ModelSize
from gazetune.train.processes.deepspeed_engine import destroy_engine, start_training_engine
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group

WIDTH, LAYERS, FROZEN = 256, 8, 2
BUCKET = 70_000
"""A bucket that holds one layer, so that it is not taken for the gradients themselves."""


class DeepModel(nn.Module):
    """Layers of one size on a single row: next to its weights its activations are nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))
        self.head = RewardHead(WIDTH)
        for layer in list(self.layers)[:FROZEN]:
            layer.requires_grad_(False)

    def forward(self, rows: Tensor) -> Tensor:
        for layer in self.layers:
            rows = layer(rows)
        return self.head(rows)


def deep_model_size() -> ModelSize:
    weights = [*DeepModel().layers.parameters(), *DeepModel().head.parameters()]
    return ModelSize(
        trained=tuple(each.numel() for each in weights if each.requires_grad),
        frozen=tuple(each.numel() for each in weights if not each.requires_grad),
        quantized=0,
        largest_layer=(WIDTH * (WIDTH + 1), WIDTH * (WIDTH + 1)),
    )


def config_of(stage: int, precision: str, passes: int, offload: str = "none", workers: int = 1, **zero: Any) -> Config:
    settings = {"stage3_param_persistence_threshold": 0, "reduce_bucket_size": BUCKET, **zero}
    return Config.model_validate(
        {
            "deepspeed": {"stage": stage, "offload": offload, "override": {"zero_optimization": settings}},
            "train": {"precision": precision, "accumulate": passes, "batch_size": workers},
            "resources": {"workers": workers},
        }
    )


def measure_engine(config: Config, worker: Worker) -> tuple[int, int]:
    """Return the bytes of all tensors between two steps, and the most that there are during a step."""
    others = list_tensors()  # held to the end, so that no address is taken twice
    model = DeepModel()
    dtype = torch.bfloat16 if config.train.precision == "bf16" else torch.float32
    cast_parameters(model.layers, dtype)
    engine, _ = start_training_engine(config, model, worker)
    rows = torch.ones(1, WIDTH, dtype=dtype)

    def train_step() -> None:
        passes = config.train.accumulate
        for number in range(passes):
            engine.set_gradient_accumulation_boundary(number == passes - 1)
            engine.backward(engine(rows).sum(), scale_wrt_gas=False)
            engine.step()

    train_step()  # allocates the moments; ZeRO-3 sees which weights come when
    train_step()
    held = count_bytes(list_tensors(), others)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        train_step()
    destroy_engine(engine)
    return held, held + highest_sum(profiler)


def list_tensors() -> list[Tensor]:
    gc.collect()
    kinds = (Tensor, nn.Parameter)  # by type: asking some objects for their class warns
    found = [each for each in gc.get_objects() if type(each) in kinds and each.layout == torch.strided]
    return [each for each in found if each.device.type == "cpu"] + [each.grad for each in found if has_gradient(each)]


def has_gradient(tensor: Tensor) -> bool:
    return tensor.is_leaf and tensor.grad is not None


def count_bytes(tensors: list[Tensor], others: list[Tensor]) -> int:
    """Bytes of the distinct storages behind tensors that are not behind others."""
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
    known = {each.untyped_storage().data_ptr() for each in others}
    return sum(held for address, held in storages.items() if address not in known)


def highest_sum(profiler: profile) -> int:
    """The most bytes that torch's allocator held beyond those at the start."""
    events = [each for each in profiler.profiler.kineto_results.events() if each.name() == "[memory]"]
    held = highest = 0
    for each in sorted(events, key=lambda event: event.start_ns()):
        held += each.nbytes()
        highest = max(highest, held)
    return highest


def measure_as_worker(cases: list[dict[str, Any]], workers: int, file: str) -> None:
    """One of several workers: measure engines one after another; rank 0 writes the results."""
    worker = join_worker_group(0)
    try:
        measured = [measure_engine(config_of(workers=workers, **case), worker) for case in cases]
        if worker.is_main:
            Path(file).write_text(json.dumps(measured))
    finally:
        leave_worker_group()
