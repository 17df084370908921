"""The training state of a run, gathered by parameter name, so that it does not depend on how it was sharded.

Weights and both Adam moments are float32 tensors of the parameter's full shape; a run may therefore resume with another
ZeRO stage or number of workers. Where they are depends on the stage:

    stage 0, float32   torch's optimiser steps the parameters themselves
    stage 0, bf16      DeepSpeed keeps a whole float32 copy of each parameter, and torch's optimiser steps the copies
    stages 1 to 3      each worker has flat float32 partitions, which DeepSpeed's `safe_get_*` and `safe_set_*` read
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gazetune.reward.model.sharding import gathered_parameters
from gazetune.reward.saved.saved_model import gaze_buffers, trained_parameters

if TYPE_CHECKING:  # as in `deepspeed_engine.py`
    from deepspeed import DeepSpeedEngine

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's names of its two moments."""


class TrainingState:
    """What trains in an engine, and the moments of its optimiser. Every worker must call each method."""

    def __init__(self, engine: DeepSpeedEngine, optimizer: torch.optim.Optimizer) -> None:
        """`optimizer` is torch's, inside the engine."""
        self._engine, self._optimizer = engine, optimizer

    def gather_weights(self) -> dict[str, Tensor]:
        """Return what trains and the gaze statistics, by name, on the CPU."""
        from deepspeed.utils import safe_get_full_fp32_param

        gathered = {}
        unsharded = self._unsharded_weights()
        for name, parameter in trained_parameters(self._engine.module).items():
            full = unsharded[parameter] if unsharded else safe_get_full_fp32_param(parameter)
            gathered[name] = full.detach().float().cpu().clone()
        return gathered | {name: _copy_whole(each) for name, each in gaze_buffers(self._engine.module).items()}

    def gather_moments(self) -> dict[str, Tensor]:
        """Return Adam's moments as `name|exp_avg` and `name|exp_avg_sq`, and its step count as `step`."""
        from deepspeed.utils import safe_get_full_optimizer_state

        self._link_moments()
        moments: dict[str, Tensor] = {"step": self._adam_step()}
        unsharded = self._unsharded_weights()
        for name, parameter in trained_parameters(self._engine.module).items():
            for key in MOMENTS:
                if unsharded:
                    # A weight that the loss does not reach (a vision tower's) has no moments.
                    full = self._optimizer.state[unsharded[parameter]].get(key, torch.zeros_like(parameter))
                else:
                    full = safe_get_full_optimizer_state(parameter, key)
                moments[f"{name}|{key}"] = full.detach().float().cpu().clone()
        return moments

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put gathered moments and float32 weights into a fresh engine, whatever its stage and number of workers."""
        unsharded = self._unsharded_weights()
        if not unsharded:
            self._allocate_moments(state["step"])
        for name, parameter in trained_parameters(self._engine.module).items():
            if unsharded:
                weight = unsharded[parameter]
                with torch.no_grad():
                    weight.copy_(state[name])
                moments = {key: state[f"{name}|{key}"].to(weight.device).clone() for key in MOMENTS}
                self._optimizer.state[weight] = {"step": state["step"].clone(), **moments}
                continue
            for key in (None, *MOMENTS):
                _set_shard(parameter, state[name if key is None else f"{name}|{key}"], key)

    def _unsharded_weights(self) -> dict[nn.Parameter, Tensor]:
        """Map each trained parameter to the whole float32 tensor that torch's optimiser steps; empty above stage 0."""
        if self._engine.zero_optimization():
            return {}
        if not hasattr(self._engine.optimizer, "fp32_groups"):
            return {parameter: parameter for parameter in trained_parameters(self._engine.module).values()}
        # bf16 at stage 0: DeepSpeed steps float32 copies, in the same order.
        groups = zip(self._engine.optimizer.fp16_groups, self._engine.optimizer.fp32_groups, strict=True)
        return {low: full for lows, fulls in groups for low, full in zip(lows, fulls, strict=True)}

    def _adam_step(self) -> Tensor:
        steps = [entry["step"] for entry in self._optimizer.state.values() if "step" in entry]
        return steps[0].detach().float().cpu().clone() if steps else torch.tensor(0.0)

    def _allocate_moments(self, step: Tensor) -> None:
        """Give the flat partitions the moments that torch would only make at the first step."""
        partitions = getattr(self._engine.optimizer, "fp32_partitioned_groups_flat", None)
        if partitions is None:
            partitions = [tensor for group in self._optimizer.param_groups for tensor in group["params"]]
        for partition in partitions:
            moments = {key: torch.zeros_like(partition) for key in MOMENTS}
            self._optimizer.state[partition] = {"step": step.clone(), **moments}
        self._link_moments()

    def _link_moments(self) -> None:
        """Let every parameter find its moments in the flat partitions.

        DeepSpeed links them by itself after the first step of the first parameter group, when the other groups have
        none yet. So they are linked again before they are read.
        """
        if hasattr(self._engine.optimizer, "_lazy_init_hp_params_optimizer_state"):
            self._engine.optimizer._hp_optimizer_states_linked = False
            self._engine.optimizer._lazy_init_hp_params_optimizer_state()


def _copy_whole(tensor: Tensor) -> Tensor:
    """Return a copy of a buffer or a frozen weight on the CPU; of the latter ZeRO-3 holds shards."""
    with gathered_parameters(tensor):
        return tensor.detach().cpu().clone()


def _set_shard(parameter: nn.Parameter, value: Tensor, key: str | None) -> None:
    """Write this worker's share of a full tensor into its float32 weights (`key` None) or into a moment."""
    from deepspeed import utils

    if hasattr(parameter, "ds_tensor"):  # ZeRO-3 pads the flat parameter and gives each rank an equal part of it
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
