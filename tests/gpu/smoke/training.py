"""Parts `training` and `nf4`: LoRA of a 7B model of random weights through `Training`.

Tokens a second, model FLOP utilisation and peak memory without and with gradient checkpointing, the peak beside what
`gazetune plan` says, and a plain padded loop over the same pairs. ZeRO stage 2, texts packed.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import torch
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.quantization import has_bitsandbytes
from gazetune.train.processes.device_memory import release_device_memory
from gazetune.train.processes.worker_group import Worker
from tests.bench.gpu_step import bench_config, random_backbone, time_training
from tests.gpu.smoke.device import count_allocated_bytes, count_outside_bytes
from tests.gpu.smoke.padded_loop import time_padded_loop
from tests.gpu.smoke.sizes import Size, plan_training

LEAST_UTILISATION = 0.5
LEAST_SPEED = 2.0
"""Goals on a GPU: model FLOP utilisation in bf16, and tokens a second over those of the padded loop."""


def measure_training(size: Size, worker: Worker) -> dict[str, Any]:
    """Measure training without and with gradient checkpointing, then the padded loop, all on one backbone."""
    data = size.draw_pairs(0)
    backbone = random_backbone(size.backbone, "bf16", worker.device)
    found: dict[str, Any] = {"pairs": len(data.train), "tokens": int(data.train.token_starts[-1])}
    for name, checkpointing in (("plain", False), ("checkpointing", True)):
        config = _config(size, worker.device, "bf16", checkpointing)
        found[name], backbone = measure_setting(config, data, backbone, size, worker, size.steps)
    padded = time_padded_loop(
        _config(size, worker.device, "bf16", False), data.train, backbone, worker.device, size.steps
    )
    ratio = round(found["plain"]["tokens_per_second"] / padded.tokens_per_second, 3)
    utilisation = found["plain"]["model_flop_utilisation"]
    on_gpu = worker.device.type == "cuda"
    return {
        **found,
        "padded_loop": asdict(padded),
        "speed_over_padded": ratio,
        "goals": {
            "model_flop_utilisation": {
                "goal": LEAST_UTILISATION,
                "reached": utilisation >= LEAST_UTILISATION if utilisation is not None else None,
            },
            "speed_over_padded": {"goal": LEAST_SPEED, "reached": ratio >= LEAST_SPEED if on_gpu else None},
        },
        "problems": [each for name in ("plain", "checkpointing") for each in found[name].pop("problems")],
    }


def measure_nf4(size: Size, worker: Worker) -> dict[str, Any]:
    """Take two steps with the backbone in 4 bits."""
    if not has_bitsandbytes():
        return {"skipped": "bitsandbytes is not installed"}
    data = size.draw_pairs(0)
    backbone = random_backbone(size.backbone, "nf4", worker.device)
    release_device_memory(worker.device)  # the weights in 16 bits that it was made of
    found, _ = measure_setting(_config(size, worker.device, "nf4", False), data, backbone, size, worker, steps=1)
    return found


def measure_setting(
    config: Config, data: PreparedData, backbone: PreTrainedModel, size: Size, worker: Worker, steps: int
) -> tuple[dict[str, Any], PreTrainedModel]:
    """Return what training reaches in a setting, and the backbone without its adapter."""
    run, figures = time_training(config, data, backbone, worker, steps)
    losses = [float(each) for each in run._losses]
    held, outside = count_allocated_bytes(worker.device), count_outside_bytes(worker.device)
    items = plan_training(config, data, size)
    planned = sum(items.values())
    layout = run.model.layout.kind
    backbone = run.close()
    del run
    release_device_memory(worker.device)
    most = held if figures.peak_gigabytes is None else figures.peak_gigabytes * 1e9
    return {
        "layout": layout,
        **asdict(figures),
        "held_gigabytes": round(held / 1e9, 6),
        "outside_gigabytes": None if outside is None else round(outside / 1e9, 3),
        "planned_gigabytes": round(planned / 1e9, 6),
        "planned_bytes": items,
        "seen_over_planned": round(most / planned, 3),
        "losses": losses,
        "problems": find_problems(config, most, planned, losses),
    }, backbone


def find_problems(config: Config, most: float, planned: float, losses: list[float]) -> list[str]:
    """Return what is wrong with a setting that held `most` bytes at once, and had these losses."""
    name = f"{config.adapter.quantization}, checkpointing {config.train.gradient_checkpointing}"
    problems = []
    if most > planned:
        problems.append(f"{name}: {most / 1e9:.3g} GB were needed and {planned / 1e9:.3g} GB planned")
    if not all(math.isfinite(each) for each in losses):
        problems.append(f"{name}: the losses are {losses}")
    return problems


def _config(size: Size, device: torch.device, weights: str, checkpointing: bool) -> Config:
    config = bench_config(weights, "none", "packed", size.pairs, size.pass_tokens, checkpointing)
    gpus = 1 if device.type == "cuda" else 0
    return config.model_copy(update={"resources": config.resources.model_copy(update={"gpus_per_worker": gpus})})
