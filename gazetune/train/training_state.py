"""The training state of a run, gathered by parameter name, so that it does not depend on how it was sharded.

Weights and both Adam moments are float32 tensors of the parameter's full shape; a run may therefore resume with another
ZeRO stage or number of workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gazetune.reward.model.sharding import gathered_parameters
from gazetune.reward.saved.saving import gaze_buffers, trained_parameters

MOMENTS = ("exp_avg", "exp_avg_sq")


def gather_weights(engine: Any) -> dict[str, Tensor]:
    """Return what trains and the gaze statistics, on the CPU. Every worker must call this."""
    from deepspeed.utils import safe_get_full_fp32_param

    gathered = {}
    stepped = _stepped(engine)
    for name, parameter in trained_parameters(engine.module).items():
        full = stepped[parameter] if stepped else safe_get_full_fp32_param(parameter)
        gathered[name] = full.detach().float().cpu().clone()
    return gathered | {name: _whole(each) for name, each in gaze_buffers(engine.module).items()}


def _whole(kept: Tensor) -> Tensor:
    """Return a buffer or a frozen weight on the CPU; ZeRO-3 holds shards of the latter."""
    with gathered_parameters(kept):
        return kept.detach().cpu().clone()


def gather_moments(engine: Any, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return Adam's moments as `name|exp_avg`, and its step count as `step`. Every worker must call this."""
    from deepspeed.utils import safe_get_full_optimizer_state

    _link_moments(engine)
    moments: dict[str, Tensor] = {"step": _adam_step(optimizer)}
    stepped = _stepped(engine)
    for name, parameter in trained_parameters(engine.module).items():
        for key in MOMENTS:
            if stepped:
                # A weight that the loss does not reach (a vision tower's) has no moments.
                full = optimizer.state[stepped[parameter]].get(key, torch.zeros_like(parameter))
            else:
                full = safe_get_full_optimizer_state(parameter, key)
            moments[f"{name}|{key}"] = full.detach().float().cpu().clone()
    return moments


def restore(engine: Any, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Put gathered moments and float32 master weights into a fresh engine, whatever its stage and workers."""
    stepped = _stepped(engine)
    if not stepped:
        _allocate_moments(engine, optimizer, state["step"])
    for name, parameter in trained_parameters(engine.module).items():
        if stepped:
            own = stepped[parameter]
            with torch.no_grad():
                own.copy_(state[name])
            moments = {key: state[f"{name}|{key}"].to(own.device).clone() for key in MOMENTS}
            optimizer.state[own] = {"step": state["step"].clone(), **moments}
            continue
        for key in (None, *MOMENTS):
            _set_shard(parameter, state[name if key is None else f"{name}|{key}"], key)


def _stepped(engine: Any) -> dict[nn.Parameter, Tensor]:
    """Map each trained parameter to the whole float32 tensor that torch's optimiser steps; empty above ZeRO stage 0."""
    if engine.zero_optimization():
        return {}
    if not hasattr(engine.optimizer, "fp32_groups"):
        return {parameter: parameter for parameter in trained_parameters(engine.module).values()}
    # bf16 without ZeRO: DeepSpeed steps float32 copies.
    groups = zip(engine.optimizer.fp16_groups, engine.optimizer.fp32_groups, strict=True)
    return {low: full for lows, fulls in groups for low, full in zip(lows, fulls, strict=True)}


def _adam_step(optimizer: torch.optim.Optimizer) -> Tensor:
    steps = [entry["step"] for entry in optimizer.state.values() if "step" in entry]
    return steps[0].detach().float().cpu().clone() if steps else torch.tensor(0.0)


def _allocate_moments(engine: Any, optimizer: torch.optim.Optimizer, step: Tensor) -> None:
    """Give the flat partitions the moments that torch would only make at the first step."""
    partitions = getattr(engine.optimizer, "fp32_partitioned_groups_flat", None)
    if partitions is None:
        partitions = [tensor for group in optimizer.param_groups for tensor in group["params"]]
    for partition in partitions:
        optimizer.state[partition] = {"step": step.clone(), **{key: torch.zeros_like(partition) for key in MOMENTS}}
    _link_moments(engine)


def _link_moments(engine: Any) -> None:
    """Let every parameter find its moments in the flat partitions.

    DeepSpeed links them by itself after the first step of the first parameter group, when the other groups have none.
    """
    if hasattr(engine.optimizer, "_lazy_init_hp_params_optimizer_state"):
        engine.optimizer._hp_optimizer_states_linked = False
        engine.optimizer._lazy_init_hp_params_optimizer_state()


def _set_shard(parameter: nn.Parameter, value: Tensor, key: str | None) -> None:
    """Write a full tensor's share into the float32 weights (`key` None) or into a moment."""
    from deepspeed import utils

    if hasattr(parameter, "ds_tensor"):
        size = parameter.ds_tensor.numel()
        rank = torch.distributed.get_rank()
        flat = torch.zeros(size * torch.distributed.get_world_size(), dtype=value.dtype)
        flat[: value.numel()] = value.flatten()
        share = flat[rank * size : (rank + 1) * size].to(parameter.ds_tensor.device)
        if key is None:
            utils.safe_set_local_fp32_param(parameter, share)
        else:
            utils.safe_set_local_optimizer_state(parameter, share, key)
    elif key is None:
        utils.safe_set_full_fp32_param(parameter, value.to(parameter.device))
    else:
        utils.safe_set_full_optimizer_state(parameter, value.to(parameter.device), key)
