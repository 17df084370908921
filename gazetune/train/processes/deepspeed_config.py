"""The DeepSpeed configuration of a run, and the raw settings that would contradict it."""

from __future__ import annotations

import math
from typing import Any

import torch

from gazetune.config import Config
from gazetune.errors import InputError

MAX_GRADIENT_NORM = 1.0
"""The recipe trains with the Hugging Face trainer's default clipping."""

DECIDED_ELSEWHERE = {
    "train_batch_size": "train.batch_size and train.accumulate",
    "train_micro_batch_size_per_gpu": "train.batch_size and resources.workers",
    "gradient_accumulation_steps": "train.accumulate",
    "bf16.enabled": "train.precision",
    "fp16": "train.precision",
    "torch_autocast": "train.precision",
    "optimizer": "optim",
    "scheduler": "optim.schedule",
    "zero_allow_untested_optimizer": "optim",
    "zero_force_ds_cpu_optimizer": "optim",
    "zero_optimization.stage": "deepspeed.stage",
    "zero_optimization.cpu_offload": "deepspeed.offload",
    "zero_optimization.offload_optimizer.device": "deepspeed.offload",
    "zero_optimization.offload_optimizer.nvme_path": "deepspeed.nvme_path",
    "zero_optimization.offload_param.device": "deepspeed.offload",
    "zero_optimization.offload_param.nvme_path": "deepspeed.nvme_path",
}
"""Keys of DeepSpeed, and the keys of the config that decide them. An override of one would contradict the config, which
the loop, the checks and the memory estimate rely on."""


def check_deepspeed_settings(config: Config) -> None:
    """Raise `InputError` for a batch that cannot be divided, or raw settings that contradict the rest of the config."""
    if config.train.batch_size < config.resources.workers:
        raise InputError(
            f"train.batch_size: {config.train.batch_size} pairs cannot be divided over resources.workers "
            f"{config.resources.workers}; accepted: at least {config.resources.workers}"
        )
    override = config.deepspeed.override
    for key, decides in DECIDED_ELSEWHERE.items():
        if _contains_key(override, key):
            raise InputError(f"deepspeed.override.{key}: set by {decides}; leave it out of the override")
    if config.deepspeed.offload == "nvme" and _contains_key(override, "zero_optimization.sub_group_size"):
        raise InputError(
            "deepspeed.override.zero_optimization.sub_group_size: deepspeed.offload nvme needs 1, or DeepSpeed reads "
            "wrong gradients from the disk; leave it out of the override"
        )
    if "zero_optimization" in override:
        _check_zero_section(config)


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


def _check_zero_section(config: Config) -> None:
    """Validate the section with DeepSpeed's own model: a worker would refuse it in many lines, and only later."""
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    from pydantic import ValidationError

    zero = deepspeed_config(config, config.resources.workers, torch.float32)["zero_optimization"]
    if not isinstance(zero, dict):
        raise InputError(f"deepspeed.override.zero_optimization: needs a mapping, got {zero!r}")
    try:
        DeepSpeedZeroConfig(**zero)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["zero_optimization", *map(str, first["loc"])])
        raise InputError(f"deepspeed.override.{key}: DeepSpeed refuses {first['input']!r}: {first['msg']}") from None


def _contains_key(tree: object, key: str) -> bool:
    """Tell whether a tree of mappings has a dotted key."""
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def _merge_trees(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `override`, merged key by key where both have a mapping."""
    merged = dict(base)
    for key, value in override.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge_trees(base[key], value) if nested else value
    return merged
