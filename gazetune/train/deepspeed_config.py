"""The DeepSpeed configuration of a run, and the combinations that are refused before a worker starts."""

from __future__ import annotations

import math
from typing import Any

import torch

from gazetune.config import Config
from gazetune.errors import InputError

MAX_GRADIENT_NORM = 1.0
"""The recipe trains with the Hugging Face trainer's default clipping."""


def check_sharding(config: Config) -> None:
    """Raise `InputError` for a combination of quantisation, ZeRO stage, offload and workers that cannot train."""
    stage = config.deepspeed.stage
    if config.deepspeed.offload != "none" and stage < 2:
        raise InputError(f"deepspeed.offload: cpu needs deepspeed.stage 2 or 3, got {stage}")
    if config.train.batch_size < config.resources.workers:
        raise InputError(
            f"train.batch_size: {config.train.batch_size} pairs cannot be divided over resources.workers "
            f"{config.resources.workers}; accepted: at least {config.resources.workers}"
        )


def deepspeed_config(config: Config, world: int, dtype: torch.dtype) -> dict[str, Any]:
    """Return what `deepspeed.initialize` takes for `world` workers."""
    section = config.deepspeed
    zero: dict[str, Any] = {"stage": section.stage, "contiguous_gradients": True, "overlap_comm": False}
    if section.offload == "cpu":
        zero["offload_optimizer"] = {"device": "cpu"}
        if section.stage == 3:
            zero["offload_param"] = {"device": "cpu"}
    tree = {
        "train_micro_batch_size_per_gpu": math.ceil(config.train.batch_size / world),
        "gradient_accumulation_steps": config.train.accumulate,
        "gradient_clipping": MAX_GRADIENT_NORM,
        "zero_optimization": zero,
        "bf16": {"enabled": dtype == torch.bfloat16},
        # torch's AdamW is the optimiser on every device; DeepSpeed's own CPU Adam needs a compiler at run time.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
    return _merged(tree, section.override)


def _merged(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if nested else value
    return merged
