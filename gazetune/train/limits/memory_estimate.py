"""How much memory a worker of a run needs, for every ZeRO stage and offload, from shapes alone: nothing is loaded.

    ZeRO stage   divided over the workers
    0            nothing
    1            optimizer: float32 copies of weights and gradients, and Adam's moments
    2            optimizer, gradients
    3            optimizer, gradients, parameters; the layer that computes is gathered whole

An offload keeps in CPU memory (`cpu`) or on a disk (`nvme`) what the stage divides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.model.adapter import apply_adapter
from gazetune.reward.model.backbone import context_length, empty_backbone, model_dtype
from gazetune.reward.model.fusion_registry import create_fusion
from gazetune.train.limits.activations import activation_bytes, conversation_positions

FLOAT32 = 4
MOMENTS = 2 * FLOAT32
"""Adam's two moments."""
NF4_BYTES = 0.5 + 1 / 64 + FLOAT32 / (64 * 256)
"""Of a weight: 4 bits, 8 bits of scale for 64 weights, and a float32 for 256 scales."""
NF4_SINGLE_BYTES = 0.5 + FLOAT32 / 64
"""Of a weight whose scale is not quantised again: 4 bits, and a float32 for 64 weights."""
HOST_BUFFER_FACTOR = 1.5
"""What DeepSpeed's estimators multiply CPU memory by."""
PERSISTENT_VALUES = 10**5
"""DeepSpeed's default `stage3_param_persistence_threshold`: ZeRO-3 keeps tensors of at most so many values whole."""
DISK_BUFFER_VALUES = 5 * 10**8
"""Values in the buffers through which DeepSpeed moves parameters to a disk (5 buffers of 1e8)."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How many values a model has, by what happens to them."""

    trained: tuple[int, ...]
    """Values of each tensor that trains."""
    frozen: tuple[int, ...]
    """Values of each frozen tensor that is kept in the model's precision."""
    quantized: int
    """Values kept in 4 bits."""
    largest_layer: tuple[int, int]
    """Values of the module that owns most of them, and how many of those train; ZeRO-3 gathers one at a time."""
    nf4_bytes: float = NF4_BYTES
    """Bytes of a value kept in 4 bits."""

    @property
    def value_count(self) -> int:
        """All values."""
        return sum(self.trained) + sum(self.frozen) + self.quantized


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """Bytes that one worker holds with a ZeRO stage and offload: on its device, in CPU memory beside it, on a disk."""

    stage: int
    offload: str
    parameters: int
    gradients: int
    optimizer: int
    """float32 copies of weights and gradients, and Adam's moments."""
    gathered: int
    """ZeRO-3: the largest layer, whole, with its gradient."""
    host: int
    disk: int

    @property
    def device_total(self) -> int:
        """Everything on the device but activations."""
        return self.parameters + self.gradients + self.optimizer + self.gathered


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What a run needs."""

    size: ModelSize
    worker_memory: tuple[WorkerMemory, ...]
    """What one worker holds with each ZeRO stage and offload."""
    pairs: int
    """Pairs of one forward pass of one worker."""
    positions: int
    """Positions of the longest conversation."""
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
    workers = config.resources.workers
    value_bytes = _device_dtype(config).itemsize
    zero = config.deepspeed.override.get("zero_optimization", {})
    persistent = int(zero.get("stage3_param_persistence_threshold", PERSISTENT_VALUES))
    pairs = math.ceil(config.train.batch_size / workers)
    positions = conversation_positions(config, context_length(config.backbone))
    kept, checkpointed = (
        activation_bytes(shape, 2 * pairs * positions, value_bytes, checkpointing) for checkpointing in (False, True)
    )
    return MemoryEstimate(
        size=size,
        worker_memory=tuple(
            estimate_worker_memory(size, stage, offload, workers, value_bytes, persistent)
            for stage, offloads in enumerate((("none",), ("none",), ("none", "cpu"), ("none", "cpu", "nvme")))
            for offload in offloads
        ),
        pairs=pairs,
        positions=positions,
        activations=checkpointed if config.train.gradient_checkpointing else kept,
        activations_checkpointed=checkpointed,
        activations_kept=kept,
        checkpoint=sum(size.trained) * (FLOAT32 + MOMENTS),
        saved_model=sum(size.trained) * FLOAT32,
    )


def count_values(config: Config, backbone: PreTrainedModel) -> ModelSize:
    """Count the values of the model that `config` makes of `backbone`, which may be on torch's meta device."""
    packed: set[int] = set()
    if config.adapter.quantization != "none":
        packed = {id(module.weight) for module in backbone.modules() if isinstance(module, nn.Linear)}
    width = cast(nn.Embedding, backbone.get_input_embeddings()).weight.shape[1]
    with torch.device("meta"):
        head = nn.Linear(int(backbone.config.get_text_config().hidden_size), 1, bias=False)
        parts = nn.ModuleList([create_fusion(config, width, 1.0), head, apply_adapter(backbone, config.adapter)])
    parameters = list(parts.parameters())
    layers = []
    for module in parts.modules():
        own = list(module.parameters(recurse=False))
        layers.append((_sum_values(own), _sum_values(each for each in own if each.requires_grad)))
    return ModelSize(
        trained=tuple(each.numel() for each in parameters if each.requires_grad),
        frozen=tuple(each.numel() for each in parameters if not each.requires_grad and id(each) not in packed),
        quantized=_sum_values(each for each in parameters if id(each) in packed),
        largest_layer=max(layers),
        nf4_bytes=NF4_BYTES if config.adapter.double_quantization else NF4_SINGLE_BYTES,
    )


def estimate_worker_memory(
    size: ModelSize, stage: int, offload: str, workers: int, value_bytes: int, persistent: int = PERSISTENT_VALUES
) -> WorkerMemory:
    """Return what one of `workers` workers holds, with `value_bytes` bytes a weight.

    For a model that trains wholly in 16 bits these are the sums of DeepSpeed's own estimators
    (`deepspeed.runtime.zero.stage_1_and_2` and `stage3`), which know no frozen weights. They divide 18 bytes a trained
    weight: 16 of the optimizer, and 2 of the gradient (ZeRO-2) or of the weight (ZeRO-3).

    Examples
    --------
    >>> size = ModelSize(trained=(10**9,), frozen=(), quantized=0, largest_layer=(0, 0))
    >>> for stage in (0, 2):
    ...     memory = estimate_worker_memory(size, stage, "none", workers=4, value_bytes=2)
    ...     print(memory.parameters / 1e9, memory.gradients / 1e9, memory.optimizer / 1e9, memory.device_total / 1e9)
    2.0 2.0 16.0 20.0
    2.0 0.5 4.0 6.5
    """
    trained, frozen = sum(size.trained), sum(size.frozen)
    shares = workers if stage > 0 else 1
    # With float32 weights and nothing divided torch's optimiser works on the weights themselves, without copies.
    in_place = stage == 0 and value_bytes == FLOAT32
    optimizer = trained * (MOMENTS if in_place else 2 * FLOAT32 + MOMENTS) // shares
    if stage < 3:
        parameters = int(value_bytes * (trained + frozen) + size.nf4_bytes * size.quantized)
        gradients = value_bytes * trained // (workers if stage == 2 else 1)
        if offload == "none":
            return WorkerMemory(stage, offload, parameters, gradients, optimizer, 0, 0, 0)
        host = int(HOST_BUFFER_FACTOR * max(value_bytes * (trained + frozen), optimizer))
        return WorkerMemory(stage, offload, parameters, 0, 0, 0, host, 0)
    whole = value_bytes * sum(each for each in (*size.trained, *size.frozen) if each <= persistent)
    divided = int(value_bytes * (trained + frozen) + size.nf4_bytes * size.quantized) // workers
    gathered = value_bytes * sum(size.largest_layer)
    if offload == "none":
        return WorkerMemory(stage, offload, whole + divided, 0, optimizer, gathered, 0, 0)
    if offload == "cpu":
        return WorkerMemory(stage, offload, whole, 0, 0, gathered, int(HOST_BUFFER_FACTOR * (divided + optimizer)), 0)
    return WorkerMemory(stage, offload, whole, 0, 0, gathered, DISK_BUFFER_VALUES * value_bytes, divided + optimizer)


def _device_dtype(config: Config) -> torch.dtype:
    return model_dtype(config, torch.device("cuda" if config.resources.gpus_per_worker else "cpu"))


def _sum_values(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
