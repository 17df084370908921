"""Settings of DeepSpeed that decide how much memory a worker takes, as a run gives them to `deepspeed.initialize`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gazetune.config import Config
from gazetune.train.limits.model_size import FLOAT32
from gazetune.train.processes.deepspeed_config import DEEPSPEED_BUCKET, deepspeed_config

ZERO_DEFAULTS = {
    "stage3_param_persistence_threshold": 10**5,
    "stage3_prefetch_bucket_size": 5 * 10**7,
    "stage3_max_reuse_distance": 10**9,
    "stage3_max_live_parameters": 10**9,
    "sub_group_size": 10**9,
}
"""What DeepSpeed 0.19.8 takes where a config says nothing (deepspeed/runtime/zero/config.py), in values."""


@dataclass(frozen=True, slots=True)
class ShardingSettings:
    """How a run is divided over its workers. Sizes of buckets and distances are in values, not in bytes."""

    stage: int
    offload: str
    workers: int
    value_bytes: int
    """Of a weight."""
    sum_bytes: int
    """Of a gradient while those of several passes are summed (`data_types.grad_accum_dtype`)."""
    has_passes: bool
    """Whether a step may have several passes."""
    reduce_bucket: int = DEEPSPEED_BUCKET
    overlaps: bool = False
    """`overlap_comm`: at stages 1 and 2 a second bucket is filled while the first is reduced."""
    persistence: int = ZERO_DEFAULTS["stage3_param_persistence_threshold"]
    prefetch: int = ZERO_DEFAULTS["stage3_prefetch_bucket_size"]
    reuse: int = ZERO_DEFAULTS["stage3_max_reuse_distance"]
    live: int = ZERO_DEFAULTS["stage3_max_live_parameters"]
    sub_group: int = ZERO_DEFAULTS["sub_group_size"]
    pins: bool = False
    """Whether an offload is to page-locked memory; there is none without a GPU."""

    @classmethod
    def from_config(cls, config: Config, dtype: torch.dtype, trained: int) -> ShardingSettings:
        """Return the settings of a run whose weights have `dtype` and of which `trained` values train.

        Examples
        --------
        >>> settings = ShardingSettings.from_config(Config(), torch.bfloat16, trained=4_000_000)
        >>> settings.stage, settings.reduce_bucket, settings.sum_bytes
        (2, 4000000, 2)
        """
        tree = deepspeed_config(config, config.resources.workers, dtype, trained)
        zero: dict[str, Any] = tree["zero_optimization"]
        numbers = {name: int(float(zero.get(name, value))) for name, value in ZERO_DEFAULTS.items()}
        sums = (tree.get("data_types") or {}).get("grad_accum_dtype")
        overlaps = zero.get("overlap_comm")
        offloads = [each for each in (zero.get("offload_optimizer"), zero.get("offload_param")) if each]
        return cls(
            stage=config.deepspeed.stage,
            offload=config.deepspeed.offload,
            workers=config.resources.workers,
            value_bytes=dtype.itemsize,
            sum_bytes=FLOAT32 if sums == "fp32" else dtype.itemsize,
            has_passes=tree["gradient_accumulation_steps"] > 1,
            reduce_bucket=int(float(zero.get("reduce_bucket_size", DEEPSPEED_BUCKET))),
            overlaps=bool(config.deepspeed.stage == 3 if overlaps is None else overlaps),
            persistence=numbers["stage3_param_persistence_threshold"],
            prefetch=numbers["stage3_prefetch_bucket_size"],
            reuse=numbers["stage3_max_reuse_distance"],
            live=numbers["stage3_max_live_parameters"],
            sub_group=numbers["sub_group_size"],
            pins=config.resources.gpus_per_worker > 0 and any(each.get("pin_memory", True) for each in offloads),
        )
