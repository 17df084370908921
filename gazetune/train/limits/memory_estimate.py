"""How much memory a worker of a run needs, for every ZeRO stage and offload, from shapes alone: nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gazetune.config import Config
from gazetune.reward.model.backbone import context_length, empty_backbone, model_dtype
from gazetune.train.limits.activations import (
    activation_bytes,
    conversation_positions,
    evaluation_bytes,
    evaluation_positions,
    pass_positions,
)
from gazetune.train.limits.memory_items import MemoryItem, WorkerMemory
from gazetune.train.limits.model_size import FLOAT32, ModelSize, count_values
from gazetune.train.limits.sharding_settings import ShardingSettings
from gazetune.train.limits.training_items import MOMENTS, list_training_items
from gazetune.train.limits.worker_items import list_host_items, list_outside_items

_OFFLOADS = (("none",), ("none",), ("none", "cpu"), ("none", "cpu", "nvme"))
"""For each ZeRO stage."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What a run needs."""

    size: ModelSize
    worker_memory: tuple[WorkerMemory, ...]
    """What one worker holds with each ZeRO stage and offload."""
    pairs: int
    """Pairs of the longest conversations in one forward pass of one worker."""
    positions: int
    """Positions of the longest conversation."""
    pass_positions: int
    """Positions that one worker reads in one forward pass of training, at most."""
    evaluation_positions: int
    """Positions that one worker reads in one pass of an evaluation, at most."""
    activations: int
    """Bytes on the device for one forward pass as configured."""
    activations_checkpointed: int
    """The same with `train.gradient_checkpointing`."""
    activations_kept: int
    """The same without."""
    checkpoint: int
    """Bytes on disk of the training state of a run (`last/`)."""
    saved_model: int
    """Bytes on disk of its best model (`best/`)."""

    @property
    def peak_disk(self) -> int:
        """Bytes on disk of a run at its peak: the next checkpoint or model is complete before the old one goes."""
        return self.checkpoint + self.saved_model + max(self.checkpoint, self.saved_model)


def estimate_memory(config: Config) -> MemoryEstimate:
    """Return what a run of `config` needs, by building its model without weights.

    Raises
    ------
    InputError
        When the backbone's config cannot be read, or an adapter target is not in it.
    """
    backbone = empty_backbone(config.backbone)
    shape = backbone.config.get_text_config()
    size = count_values(config, backbone)
    value_bytes = _device_dtype(config).itemsize
    positions = conversation_positions(config, context_length(config.backbone))
    read, scored = pass_positions(config, positions), evaluation_positions(config, positions)
    kept, checkpointed = (activation_bytes(shape, read, value_bytes, checkpointing) for checkpointing in (False, True))
    activations = checkpointed if config.train.gradient_checkpointing else kept
    budget = "train.batch_tokens" if config.train.batch_tokens else "train.batch_size"
    shared = (
        MemoryItem(
            "activations",
            "activations",
            activations,
            f"{read:,} positions ({budget}), Korthikanti et al. 2022 (arXiv 2205.05198)",
            phases=("pass",),
        ),
        MemoryItem(
            "activations",
            "activations",
            evaluation_bytes(shape, scored, value_bytes),
            f"{scored:,} positions (train.eval_tokens), one layer at a time",
            phases=("evaluation",),
        ),
    )
    return MemoryEstimate(
        size=size,
        worker_memory=tuple(
            estimate_worker_memory(_with_sharding(config, stage, offload), size, shared)
            for stage, offloads in enumerate(_OFFLOADS)
            for offload in offloads
        ),
        pairs=max(1, read // (2 * positions)),
        positions=positions,
        pass_positions=read,
        evaluation_positions=scored,
        activations=activations,
        activations_checkpointed=checkpointed,
        activations_kept=kept,
        checkpoint=sum(size.trained) * (FLOAT32 + MOMENTS),
        saved_model=sum(size.trained) * FLOAT32,
    )


def estimate_worker_memory(config: Config, size: ModelSize, activations: tuple[MemoryItem, ...] = ()) -> WorkerMemory:
    """Return what one worker of a run of `config`, whose model has this size, holds.

    Weights, gradients and states of a model that trains wholly in 16 bits are the sums of DeepSpeed's own estimators
    (`deepspeed.runtime.zero.stage_1_and_2` and `stage3`), which know no frozen weights and no buffers. They divide 18
    bytes a trained weight: 16 of the optimizer, and 2 of the gradient (ZeRO-2) or of the weight (ZeRO-3).

    Examples
    --------
    >>> size = ModelSize(trained=(10**9,), frozen=(), quantized=0, largest_layer=(0, 0))
    >>> for stage in (0, 2):
    ...     tree = {"deepspeed": {"stage": stage}, "train": {"precision": "bf16"}, "resources": {"workers": 4}}
    ...     memory = estimate_worker_memory(Config.model_validate(tree), size)
    ...     print(memory.parameters / 1e9, memory.gradients / 1e9, memory.optimizer / 1e9)
    2.0 2.0 16.0
    2.0 0.5 4.0
    """
    dtype = _device_dtype(config)
    settings = ShardingSettings.from_config(config, dtype, sum(size.trained))
    items = [
        *list_training_items(size, settings),
        *activations,
        *list_outside_items(config),
        *list_host_items(config, size, dtype.itemsize),
    ]
    return WorkerMemory(settings.stage, settings.offload, tuple(items))


def configured_memory(config: Config, plan: MemoryEstimate) -> WorkerMemory:
    """Return what one worker holds with the ZeRO stage and offload that `config` has."""
    wanted = (config.deepspeed.stage, config.deepspeed.offload)
    return next(each for each in plan.worker_memory if (each.stage, each.offload) == wanted)


def _with_sharding(config: Config, stage: int, offload: str) -> Config:
    section = config.deepspeed.model_copy(update={"stage": stage, "offload": offload})
    return config.model_copy(update={"deepspeed": section})


def _device_dtype(config: Config) -> torch.dtype:
    return model_dtype(config, torch.device("cuda" if config.resources.gpus_per_worker else "cpu"))
