"""Backbones and reward models as the workers of a run hold them: whole, or sharded over the workers by ZeRO-3.

`load_worker_backbone` comes first. Then `start_training_engine` wraps a model for training, or `place_model` puts a
saved one on the worker's device for scoring.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.model.backbone import load_backbone, model_dtype
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.sharding import full_shape
from gazetune.train.processes.deepspeed_config import deepspeed_config, sums_in_bf16
from gazetune.train.processes.worker_group import Worker, limit_waits

if TYPE_CHECKING:  # DeepSpeed takes seconds to import, and reads environment variables that a worker sets first
    from deepspeed import DeepSpeedEngine

logger = logging.getLogger(__name__)


def load_worker_backbone(config: Config, worker: Worker) -> PreTrainedModel:
    """Load the backbone in the run's precision; under ZeRO-3 no worker ever holds all of it. Every worker calls it."""
    dtype = model_dtype(config, worker.device)
    settings = deepspeed_config(config, worker.world_size, dtype) if _shards_parameters(config, worker) else None
    adapter = config.adapter
    return load_backbone(
        config.backbone, dtype, adapter.quantization, settings, adapter.double_quantization, worker.device
    )


def start_training_engine(
    config: Config, model: GazeRewardModel, worker: Worker
) -> tuple[DeepSpeedEngine, torch.optim.Optimizer]:
    """Return the engine that trains `model`, and torch's optimiser inside it. Every worker calls it."""
    import deepspeed

    # The loop sets the learning rate before every step. It is 0 here because DeepSpeed may take a step without
    # gradients to allocate the moments (bf16 at stage 0), and that step must not decay the weights.
    groups = group_by_weight_decay(model, config.optim.weight_decay)
    # One kernel a step on a GPU, and all of torch's threads on a CPU, where the states are with `deepspeed.offload`.
    optimizer = torch.optim.AdamW(groups, lr=0.0, fused=True)
    dtype = model_dtype(config, worker.device)
    # DeepSpeed casts parameters itself, but none of a model whose backbone it has divided already.
    model.head.lower_weight(dtype)
    trained = sum(full_shape(parameter).numel() for group in groups for parameter in group["params"])
    settings = deepspeed_config(config, worker.world_size, dtype, trained)
    if sums_in_bf16(config, dtype) and worker.is_main:
        logger.warning(
            "deepspeed.stage: at 0 DeepSpeed sums the gradients of a step's passes in bf16; from 1 on in fp32"
        )
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=settings, dist_init_required=False)
    limit_waits(config.resources.worker_timeout)
    if not engine.zero_optimization():
        optimizer.state.clear()  # The allocating step must not count as one of Adam's steps either.
    engine.train()
    return engine, optimizer


def destroy_engine(engine: DeepSpeedEngine) -> None:
    """Free an engine. Of ZeRO-3 the process would otherwise keep every engine that it ever had, and its model."""
    from deepspeed.runtime.zero import parameter_offload, partitioned_param_coordinator

    engine.destroy()
    # DeepSpeed 0.19.8 has a cache without bound on a method, which holds on to what the method was called with. The
    # cache is inside of a function that measures.
    coordinator = partitioned_param_coordinator.PartitionedParameterCoordinator
    for cell in coordinator._PartitionedParameterCoordinator__params_to_release.__closure__ or ():
        if hasattr(cell.cell_contents, "cache_clear"):
            cell.cell_contents.cache_clear()
    parameter_offload.FWD_MODULE_STACK.clear()  # begins with the model


@contextmanager
def place_model(config: Config, model: GazeRewardModel, worker: Worker) -> Iterator[nn.Module]:
    """Give the model on the worker's device; a sharded one inside the engine that gathers its weights."""
    dtype = model_dtype(config, worker.device)
    model.cast_weights(dtype)
    if not _shards_parameters(config, worker):
        yield model.to(worker.device)
        return
    import deepspeed

    model.head.lower_weight(dtype)
    settings = deepspeed_config(config, worker.world_size, dtype)
    engine, *_ = deepspeed.initialize(model=model, config=settings, dist_init_required=False)
    try:
        yield engine
    finally:
        destroy_engine(engine)


def group_by_weight_decay(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Group what trains: weight decay on matrices, none on biases, norms and scales."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim >= 2]
    others = [parameter for parameter in trained if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _shards_parameters(config: Config, worker: Worker) -> bool:
    return config.deepspeed.stage == 3 and (worker.world_size > 1 or config.deepspeed.offload != "none")
