"""The DeepSpeed configuration of a run."""

from __future__ import annotations

import math
from typing import Any

import torch

from gazetune.config import Config

MAX_GRADIENT_NORM = 1.0
"""The recipe trains with the Hugging Face trainer's default clipping."""

DEEPSPEED_BUCKET = 500_000_000
"""DeepSpeed's default size of a bucket of gradients, in elements: 1 GB in bf16, twice that where it overlaps."""


def deepspeed_config(config: Config, world_size: int, dtype: torch.dtype, trained: int | None = None) -> dict[str, Any]:
    """Return what `deepspeed.initialize` takes as its `config`.

    What it does not name has DeepSpeed's default; where it differs from that, docs/configuration.md says why.

    Parameters
    ----------
    config
        Of the run.
    world_size
        Number of workers.
    dtype
        Of the weights.
    trained
        Number of trained weights; None before the model is there.

    Examples
    --------
    >>> deepspeed_config(Config(), 1, torch.bfloat16, trained=4_000_001)["zero_optimization"]["reduce_bucket_size"]
    4000002
    """
    section = config.deepspeed
    zero: dict[str, Any] = {"stage": section.stage, "contiguous_gradients": True}
    if trained is not None:
        # DeepSpeed allocates a whole bucket, however few gradients there are. It wants an even number.
        size = min(DEEPSPEED_BUCKET, trained + trained % 2)
        zero |= {"reduce_bucket_size": size, "allgather_bucket_size": size}
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
    passes = _count_passes(config)
    tree: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": math.ceil(config.train.batch_size / world_size),
        # The loop tells DeepSpeed which pass ends a step. This number only has to say whether there may be several.
        "gradient_accumulation_steps": passes,
        "gradient_clipping": MAX_GRADIENT_NORM,
        "zero_optimization": zero,
        "bf16": {"enabled": dtype == torch.bfloat16},
        # torch's AdamW is the optimiser on every device; DeepSpeed's own CPU Adam needs a compiler at run time.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
    if dtype == torch.bfloat16 and passes > 1 and section.stage >= 1:
        # Gradients of many passes are summed. In bf16 a sum loses whatever is below 1/256 of it.
        tree["data_types"] = {"grad_accum_dtype": "fp32"}
    return _merge_trees(tree, section.override)


def sums_in_bf16(config: Config, dtype: torch.dtype) -> bool:
    """Tell whether gradients of several passes are summed in bf16, as DeepSpeed does at stage 0 and cannot help."""
    return dtype == torch.bfloat16 and config.deepspeed.stage == 0 and _count_passes(config) > 1


def _count_passes(config: Config) -> int:
    """Return the number of passes of a step; 2 where the budget of positions says how many, and they may be several."""
    return max(config.train.accumulate, 2 if config.train.batch_tokens else 1)


def _merge_trees(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `override`, merged key by key where both have a mapping."""
    merged = dict(base)
    for key, value in override.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge_trees(base[key], value) if nested else value
    return merged
