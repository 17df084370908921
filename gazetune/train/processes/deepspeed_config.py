"""The DeepSpeed configuration of a run."""

from __future__ import annotations

import math
from typing import Any

import torch

from gazetune.config import Config

MAX_GRADIENT_NORM = 1.0
"""The recipe trains with the Hugging Face trainer's default clipping."""


def deepspeed_config(config: Config, world_size: int, dtype: torch.dtype) -> dict[str, Any]:
    """Return what `deepspeed.initialize` takes as its `config`, for `world_size` workers and weights of `dtype`."""
    section = config.deepspeed
    zero: dict[str, Any] = {"stage": section.stage, "contiguous_gradients": True, "overlap_comm": False}
    if section.offload != "none":
        target: dict[str, str | None] = {"device": section.offload}
        if section.offload == "nvme":
            target["nvme_path"] = section.nvme_path
            # DeepSpeed reads the gradients of all parameters of a sub-group into one buffer, one after another. Direct
            # I/O needs aligned addresses, and reads wrong values to any other. With a sub-group for each parameter
            # every read goes to the start of a buffer, which is aligned.
            zero["sub_group_size"] = 1
        zero["offload_optimizer"] = dict(target)
        if section.stage == 3:
            zero["offload_param"] = dict(target)
    tree = {
        "train_micro_batch_size_per_gpu": math.ceil(config.train.batch_size / world_size),
        # The loop tells DeepSpeed which pass ends a step. This number only has to say whether there may be several.
        "gradient_accumulation_steps": max(config.train.accumulate, 2 if config.train.batch_tokens else 1),
        "gradient_clipping": MAX_GRADIENT_NORM,
        "zero_optimization": zero,
        "bf16": {"enabled": dtype == torch.bfloat16},
        # torch's AdamW is the optimiser on every device; DeepSpeed's own CPU Adam needs a compiler at run time.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
    return _merge_trees(tree, section.override)


def _merge_trees(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `override`, merged key by key where both have a mapping."""
    merged = dict(base)
    for key, value in override.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge_trees(base[key], value) if nested else value
    return merged
