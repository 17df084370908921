"""Raw settings of DeepSpeed (`deepspeed.override`) that would contradict the rest of a config.

Imports DeepSpeed and torch only for an override of its ZeRO section.
"""

from __future__ import annotations

from gazetune.config import Config
from gazetune.errors import InputError

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


def _check_zero_section(config: Config) -> None:
    """Validate the section with DeepSpeed's own model: a worker would refuse it in many lines, and only later."""
    import torch
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    from pydantic import ValidationError

    from gazetune.train.processes.deepspeed_config import deepspeed_config

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
