"""The training state of a run by parameter name, so that it does not depend on how it was sharded.

Weights and both Adam moments are float32. A run writes them as tensors of the parameter's full shape, which rank 0
alone keeps, or as the slices of the flat parameter that each worker holds. Both name no stage and no number of workers;
a run may therefore resume with others. Where the values are depends on the stage:

    stage 0, float32   torch's optimiser steps the parameters themselves
    stage 0, bf16      DeepSpeed keeps a whole float32 copy of each parameter, and torch's optimiser steps the copies
    stages 1, 2        each worker has a flat float32 partition; `_hp_mapping` says what of a parameter is there
    stage 3            each parameter is divided evenly, its last part padded
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gazetune.reward.model.sharding import full_shape, gathered_parameters
from gazetune.reward.saved.saved_model import gaze_buffers, trained_parameters
from gazetune.reward.saved.tensor_stream import TensorShape, TensorStream
from gazetune.train.state.sharded_tensors import TensorSlice, read_values

if TYPE_CHECKING:  # as in `deepspeed_engine.py`
    from deepspeed import DeepSpeedEngine

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's names of its two moments."""

_Divided: TypeAlias = Any
"""An `nn.Parameter` with attributes of DeepSpeed that say how it is divided."""


class TrainingState:
    """What trains in an engine, and the moments of its optimiser. Every worker must call each method."""

    def __init__(self, engine: DeepSpeedEngine, optimizer: torch.optim.Optimizer) -> None:
        """`optimizer` is torch's, inside the engine."""
        self._engine, self._optimizer = engine, optimizer

    @property
    def byte_count(self) -> int:
        """Bytes of all weights that train and their moments."""
        return sum(4 * full_shape(each).numel() * (1 + len(MOMENTS)) for each in self._trained().values())

    def gather_weights(self) -> TensorStream:
        """Return what trains, as float32, and the gaze statistics, by name.

        Every worker must take all of the stream. Each tensor is whole on rank 0, where it is on the CPU, and empty
        anywhere else: no worker holds more than one of them.
        """
        buffers = self._buffers()
        shapes = {name: TensorShape(full_shape(each)) for name, each in self._trained().items()}
        shapes |= {name: TensorShape(full_shape(each), each.dtype) for name, each in buffers.items()}

        def gather() -> Iterator[tuple[str, Tensor]]:
            unsharded = self._unsharded_weights()
            for name, parameter in self._trained().items():
                yield name, _keep_on_main(_gather_values(parameter, None, unsharded, self._optimizer))
            for name, each in buffers.items():
                with gathered_parameters(each):
                    kept = _keep_on_main(each, each.dtype)
                yield name, kept

        return TensorStream(shapes, gather())

    def refresh_head(self) -> None:
        """Let the head compute with its float32 weight as it is after a step; its weight in the module is rounded."""
        head = self._engine.module.head
        if head.weight.dtype != torch.float32:
            head.set_full_weight(_gather_values(head.weight, None, self._unsharded_weights(), self._optimizer))

    def gather(self) -> TensorStream:
        """Return as `gather_weights`, with Adam's moments as `name|exp_avg` and `name|exp_avg_sq`, and its `step`."""
        weights = self.gather_weights()
        shapes = {_key(name, key): TensorShape(full_shape(each)) for name, each, key in self._each_moment()}

        def gather() -> Iterator[tuple[str, Tensor]]:
            yield from weights.tensors
            self._link_moments()
            unsharded = self._unsharded_weights()
            for name, parameter, key in self._each_moment():
                yield _key(name, key), _keep_on_main(_gather_values(parameter, key, unsharded, self._optimizer))
            yield "step", self._adam_step()

        return TensorStream({**weights.shapes, **shapes, "step": TensorShape(())}, gather())

    def list_slices(self) -> dict[str, TensorSlice]:
        """Return which part of each tensor of `gather` this worker writes; those of all workers make it whole."""
        rank, workers = dist.get_rank(), dist.get_world_size()
        unsharded = self._unsharded_weights()
        slices: dict[str, TensorSlice] = {}
        for name, parameter in self._trained().items():
            start, stop = _held_range(parameter)
            if unsharded:  # every worker has all of it
                start, stop = stop * rank // workers, stop * (rank + 1) // workers
            slices |= {_key(name, key): TensorSlice(start, stop, full_shape(parameter)) for key in (None, *MOMENTS)}
        small: dict[str, tuple[int, ...]] = {name: full_shape(each) for name, each in self._buffers().items()}
        for name, shape in {**small, "step": ()}.items():
            slices[name] = TensorSlice(0, torch.Size(shape).numel() if rank == 0 else 0, shape)
        return slices

    def read_slices(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the flat float32 values of each part that `list_slices` names and that is not empty, on the CPU."""
        self._link_moments()
        unsharded, slices = self._unsharded_weights(), self.list_slices()
        for name, parameter in self._trained().items():
            for key in (None, *MOMENTS):
                each = slices[_key(name, key)]
                # An offload to a disk reads all workers' parts at the same time.
                held = _held_values(parameter, key, unsharded, self._optimizer)
                if each.stop > each.start:
                    flat = held.flatten()
                    yield _key(name, key), (flat[each.start : each.stop] if unsharded else flat).float().cpu()
        for name, buffer in self._buffers().items():
            with gathered_parameters(buffer):
                kept = _keep_on_main(buffer)
            if slices[name].stop:
                yield name, kept.flatten()
        if slices["step"].stop:
            yield "step", self._adam_step().flatten()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put gathered moments and float32 weights into a fresh engine, whatever its stage and number of workers."""
        unsharded = self._unsharded_weights()
        if not unsharded:
            self._allocate_moments(state["step"])
        for name, parameter in self._trained().items():
            if unsharded:
                weight = unsharded[parameter]
                with torch.no_grad():
                    weight.copy_(state[name])
                moments = {key: state[f"{name}|{key}"].to(weight.device).clone() for key in MOMENTS}
                self._optimizer.state[weight] = {"step": _step_beside(weight, state["step"]), **moments}
                continue
            start, stop = _held_range(parameter)
            for key in (None, *MOMENTS):
                _set_held_values(parameter, read_values(state, _key(name, key), start, stop), key)

    def _buffers(self) -> dict[str, Tensor]:
        return gaze_buffers(self._engine.module)

    def _trained(self) -> dict[str, nn.Parameter]:
        return trained_parameters(self._engine.module)

    def _each_moment(self) -> Iterator[tuple[str, nn.Parameter, str]]:
        return ((name, each, key) for name, each in self._trained().items() for key in MOMENTS)

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
            self._optimizer.state[partition] = {"step": _step_beside(partition, step), **moments}
        self._link_moments()

    def _link_moments(self) -> None:
        """Let every parameter find its moments in the flat partitions.

        DeepSpeed links them by itself after the first step of the first parameter group, when the other groups have
        none yet. So they are linked again before they are read.
        """
        if hasattr(self._engine.optimizer, "_lazy_init_hp_params_optimizer_state"):
            self._engine.optimizer._hp_optimizer_states_linked = False
            self._engine.optimizer._lazy_init_hp_params_optimizer_state()


def _step_beside(weight: Tensor, step: Tensor) -> Tensor:
    """Return a copy of Adam's step count on the device of a weight, where the fused step wants it."""
    return step.to(weight.device, torch.float32, copy=True)


def _key(name: str, moment: str | None) -> str:
    """Return under which name a weight (`moment` None) or a moment of it is kept."""
    return name if moment is None else f"{name}|{moment}"


def _keep_on_main(tensor: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a copy on the CPU where this is rank 0, and nothing elsewhere."""
    if dist.get_rank() != 0:
        return torch.empty(0)
    return tensor.detach().to("cpu", dtype, copy=True)


def _gather_values(
    parameter: nn.Parameter,
    key: str | None,
    unsharded: Mapping[nn.Parameter, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Tensor:
    """Return a weight (`key` None) or a moment whole, on every worker; each of them calls it."""
    if unsharded:
        return _held_values(parameter, key, unsharded, optimizer)
    from deepspeed import utils

    if key is None:
        return utils.safe_get_full_fp32_param(parameter)
    return utils.safe_get_full_optimizer_state(parameter, key)


def _held_range(parameter: _Divided) -> tuple[int, int]:
    """Return which values of a flat weight this worker holds in float32: the first one, and the one after the last."""
    if hasattr(parameter, "ds_tensor"):  # ZeRO-3 pads the flat parameter and gives each rank an equal part of it
        size, values = parameter.ds_tensor.numel(), parameter.ds_numel
        return min(values, dist.get_rank() * size), min(values, (dist.get_rank() + 1) * size)
    if not hasattr(parameter, "_hp_mapping"):
        return 0, parameter.numel()
    if parameter._hp_mapping is None:
        return 0, 0
    address = parameter._hp_mapping.lp_fragment_address
    return address.start, address.start + address.numel


def _held_values(
    parameter: _Divided,
    key: str | None,
    unsharded: Mapping[nn.Parameter, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Tensor:
    """Return what this worker holds of a weight (`key` None) or a moment: `_held_range` of it, flat, where divided."""
    if unsharded:
        weight = unsharded[parameter]
        # A weight that the loss does not reach (a vision tower's) has no moments.
        return weight if key is None else optimizer.state[weight].get(key, torch.zeros_like(weight))
    if hasattr(parameter, "ds_tensor"):
        from deepspeed import utils

        if key is None:
            share = utils.safe_get_local_fp32_param(parameter)
        else:
            share = utils.safe_get_local_optimizer_state(parameter, key)
        start, stop = _held_range(parameter)
        return share[: stop - start]
    return torch.empty(0) if parameter._hp_mapping is None else parameter._hp_mapping.get_hp_fragment(key)


def _set_held_values(parameter: _Divided, values: Tensor, key: str | None) -> None:
    """Write `_held_range` of a flat tensor into this worker's float32 weights (`key` None) or into a moment."""
    if hasattr(parameter, "ds_tensor"):
        from deepspeed import utils

        share = torch.zeros(parameter.ds_tensor.numel(), dtype=values.dtype)
        share[: values.numel()] = values
        share = share.to(parameter.ds_tensor.device)
        if key is None:
            utils.safe_set_local_fp32_param(parameter, share)
        else:
            utils.safe_set_local_optimizer_state(parameter, share, key)
    elif parameter._hp_mapping is not None:
        parameter._hp_mapping.get_hp_fragment(key).data.copy_(values)
