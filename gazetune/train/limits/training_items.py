"""Weights, gradients, states and buffers of a worker: what DeepSpeed 0.19.8 allocates at each ZeRO stage.

    ZeRO stage   divided over the workers
    0            nothing
    1            optimizer: float32 copies of weights and gradients, and Adam's moments
    2            optimizer, gradients
    3            optimizer, gradients, parameters; the layers that compute are gathered whole

An offload keeps in CPU memory (`cpu`) or on a disk (`nvme`) what the stage divides. Tests measure engines of all stages
against these items.
"""

from __future__ import annotations

from dataclasses import dataclass

from gazetune.train.limits.memory_items import RUNNING, Kind, MemoryItem, Phase, Place
from gazetune.train.limits.model_size import FLOAT32, ModelSize
from gazetune.train.limits.sharding_settings import ShardingSettings

MOMENTS = 2 * FLOAT32
"""Adam's two moments."""
FLOAT64 = 8
ALL_REDUCE_VALUES = 5 * 10**8
"""Most values that DeepSpeed sums over the workers at a time at stage 0 (engine.py, MEMORY_OPT_ALLREDUCE_SIZE)."""
PARAMETER_BUFFER_VALUES = 5 * 10**8
"""Values in the buffers through which parameters go to a disk (zero/offload_config.py: 5 buffers of 1e8)."""
OPTIMIZER_BUFFERS = 4
"""Buffers through which optimiser states go to a disk (zero/offload_config.py, buffer_count), each of a sub-group."""

_PASS: tuple[Phase, ...] = ("pass",)
_STEP: tuple[Phase, ...] = ("step",)
_TRAINING: tuple[Phase, ...] = ("pass", "step")
_READING: tuple[Phase, ...] = ("pass", "evaluation")
_STAGE_1_AND_2, _STAGE_3 = "DeepSpeed zero/stage_1_and_2.py", "DeepSpeed zero/stage3.py"
_ADAM = "torch.optim.AdamW, fused: no temporaries"


def list_training_items(size: ModelSize, settings: ShardingSettings) -> list[MemoryItem]:
    """Return what one worker holds of weights, gradients and optimiser states, with the buffers around them."""
    builder = _Builder(size, settings)
    if settings.stage == 0:
        return builder.list_undivided()
    if settings.stage == 1 and settings.sum_bytes > settings.value_bytes:
        return builder.list_bf16_optimizer()
    if settings.stage < 3:
        return builder.list_stage_1_and_2() + builder.list_offloaded_states()
    return builder.list_stage_3() + builder.list_offloaded_states() + builder.list_disk()


@dataclass(frozen=True, slots=True)
class _Builder:
    size: ModelSize
    settings: ShardingSettings

    @property
    def _trained(self) -> int:
        return sum(self.size.trained)

    @property
    def _share(self) -> int:
        """Values that one worker's optimiser steps."""
        return -(-self._trained // (self.settings.workers if self.settings.stage else 1))

    def list_undivided(self) -> list[MemoryItem]:
        """Stage 0: torch's optimiser steps the weights, or in bf16 a float32 copy of each."""
        b, trained = self.settings.value_bytes, self._trained
        items = [
            *self._weights(),
            self._item("gradients", "gradients", b * trained, "torch, Parameter.grad", _TRAINING),
        ]
        summed = b * min(trained, ALL_REDUCE_VALUES)
        items += [
            self._item("copy of gradients to sum", "buffers", summed, "DeepSpeed engine.py, allreduce_bucket", _PASS)
        ]
        if b == FLOAT32:
            return [*items, *self._states(copies=False, source=_ADAM)]
        source = "DeepSpeed fp16/unfused_optimizer.py"
        return [*items, *self._states(source=source), self._full_gradients(trained, source)]

    def list_bf16_optimizer(self) -> list[MemoryItem]:
        """Stage 1 in bf16 with several passes: DeepSpeed's BF16_Optimizer, which sums all gradients in float32."""
        b, trained, source = self.settings.value_bytes, self._trained, "DeepSpeed bf16_optimizer.py"
        summed = min(trained, ALL_REDUCE_VALUES)
        return [
            *self._weights(),
            self._item("gradients of a pass", "buffers", b * trained, "torch, Parameter.grad", _TRAINING),
            self._item(
                "float32 sums of gradients", "gradients", FLOAT32 * trained, f"{source}, data_types", certain=True
            ),
            self._item(
                "copies of gradients to sum",
                "buffers",
                (FLOAT32 + b) * summed,
                "DeepSpeed engine.py, allreduce_bucket: in float32 and as it is sent",
                _PASS,
            ),
            *self._states(source=source),
        ]

    def list_stage_1_and_2(self) -> list[MemoryItem]:
        """Stages 1 and 2, with optimiser states and gradients beside the GPU where they are offloaded."""
        settings, b, share = self.settings, self.settings.value_bytes, self._share
        offloads, is_wide = settings.offload != "none", settings.sum_bytes > settings.value_bytes
        items = self._weights()
        if settings.stage == 1:
            items += [self._item("gradients", "gradients", b * self._trained, "torch, Parameter.grad", _PASS)]
        else:
            two_layers = 2 * b * self.size.largest_trained
            items += [self._item("gradients before a bucket", "buffers", two_layers, "torch, Parameter.grad", _PASS)]
        items += self._buckets()
        if is_wide:
            source = f"{_STAGE_1_AND_2}, _build_compact_grad_partition_buffer: data_types.grad_accum_dtype fp32"
            items += [self._item("float32 sums of own gradients", "gradients", FLOAT32 * share, source, _TRAINING)]
        elif not offloads:
            kind: Kind = "gradients" if settings.stage == 2 else "buffers"
            source = f"{_STAGE_1_AND_2}, averaged_gradients"
            items += [self._item("own gradients", kind, b * share, source, _TRAINING)]
            if settings.workers > 1:  # a tensor of which another worker steps a part is there whole
                whole = b * self.size.largest_trained
                items += [self._item("gradient on the border", "buffers", whole, source, _TRAINING)]
            if settings.stage == 2 and settings.has_passes:
                source = f"{_STAGE_1_AND_2}, all_grad_tensors"
                items += [self._item("own gradients of one more pass", "buffers", b * share, source, _PASS)]
        if offloads:
            source = f"{_STAGE_1_AND_2}, temp_grad_buffer_for_gpu_offload"
            return [*items, self._item("gradient on its way", "buffers", b * self.size.largest_trained, source)]
        items += self._states(source=_STAGE_1_AND_2)
        if is_wide:  # summed in float32, they are stepped where they are
            return [*items, self._norm()]
        if b < FLOAT32:
            items += [self._item("flat gradients", "buffers", b * share, f"{_STAGE_1_AND_2}, step", _STEP)]
        return [*items, self._full_gradients(share, f"{_STAGE_1_AND_2}, step")]

    def list_stage_3(self) -> list[MemoryItem]:
        """Stage 3 without what an offload takes away."""
        settings, size, b = self.settings, self.size, self.settings.value_bytes
        small = sum(each for each in (*size.trained, *size.frozen) if each <= settings.persistence)
        offloads = settings.offload != "none"
        source = f"{_STAGE_3}, stage3_param_persistence_threshold {settings.persistence:g}"
        items = [self._item("small weights, whole", "parameters", b * small, source)]
        if not offloads:
            items += [
                self._item("own part of the weights", "parameters", self._own_weights(), _STAGE_3, certain=True),
                self._item(
                    "own gradients",
                    "buffers",
                    settings.sum_bytes * self._share,
                    f"{_STAGE_3}, grad_partitions_flat_buffer",
                    certain=True,
                ),
            ]
        items += self._gathered(sum(size.trained) + sum(size.frozen) - small)
        bucket = f"{_STAGE_3}, reduce_bucket_size {settings.reduce_bucket:g}"
        filled = b * min(settings.reduce_bucket, self._trained)
        copies = f"{_STAGE_3}, reduce_scatter_coalesced"
        items += [
            self._item("bucket of gradients", "buffers", b * settings.reduce_bucket, bucket),
            self._item("copies of a bucket to sum", "buffers", 2 * filled, copies, _PASS),
        ]
        if offloads:
            return items
        group = min(self._share, settings.sub_group)
        if b < FLOAT32 and settings.sum_bytes < FLOAT32:
            items += [self._item("flat gradients", "buffers", b * group, f"{_STAGE_3}, _prepare_fp32_grad", _STEP)]
        source = f"{_STAGE_3}, sub_group_size {settings.sub_group:g}"
        return [
            *items,
            self._full_gradients(group, source),
            *self._states(source=_STAGE_3),
        ]

    def list_offloaded_states(self) -> list[MemoryItem]:
        """CPU memory of `deepspeed.offload: cpu`; page-locked memory comes in powers of 2."""
        settings, b, share = self.settings, self.settings.value_bytes, self._share
        if settings.offload != "cpu":
            return []
        is_stage_3 = settings.stage == 3
        source = _STAGE_3 if is_stage_3 else _STAGE_1_AND_2
        items = [
            self._host("float32 weights", FLOAT32 * share, source, pinned=not is_stage_3),
            self._host("float32 gradients", FLOAT32 * share, source, pinned=True),
            self._host("Adam's moments", MOMENTS * share, _ADAM),
        ]
        if is_stage_3:
            return [
                *items,
                self._host("own part of the weights", self._own_weights(), f"{source}, offload_param", pinned=True),
                self._host("own gradients", settings.sum_bytes * share, f"{source}, grad_partitions_flat_buffer", True),
            ]
        items += [
            self._host("weights on their way", b * share, f"{source}, param_buffer_of_bit16_for_cpu_offload", True),
            self._host("gradient on its way", b * self.size.largest_trained, f"{source}, temp_grad_buffer", True),
        ]
        if settings.has_passes and settings.sum_bytes == b:
            items += [self._host("sums of gradients", b * share, f"{source}, accumulated_grads_in_cpu", True)]
        return items

    def list_disk(self) -> list[MemoryItem]:
        """The disk and the buffers before it of `deepspeed.offload: nvme`."""
        settings, b, share = self.settings, self.settings.value_bytes, self._share
        if settings.offload != "nvme":
            return []
        largest = -(-self.size.largest_trained // settings.workers)
        swapped, states = "DeepSpeed swap_tensor, offload_param", "DeepSpeed swap_tensor, offload_optimizer"
        return [
            self._host("buffers of weights", b * PARAMETER_BUFFER_VALUES, f"{swapped}: 5 buffers of 1e8", True),
            self._host(
                "buffers of states",
                OPTIMIZER_BUFFERS * FLOAT32 * largest,
                f"{states}: 4 buffers, sub_group_size 1",
                True,
            ),
            self._host("own gradients", settings.sum_bytes * share, f"{_STAGE_3}, grad_partitions_flat_buffer", True),
            self._item("own part of the weights", "parameters", self._own_weights(), swapped, place="disk"),
            self._item("states", "optimizer", (2 * FLOAT32 + MOMENTS) * share, states, place="disk"),
        ]

    def _weights(self) -> list[MemoryItem]:
        held = self.size.count_bytes(self.settings.value_bytes)
        return [self._item("weights", "parameters", held, "the backbone's config", certain=True)]

    def _own_weights(self) -> int:
        return self.size.count_bytes(self.settings.value_bytes) // self.settings.workers

    def _states(self, source: str, copies: bool = True) -> list[MemoryItem]:
        share = self._share
        moments = self._item("Adam's moments", "optimizer", MOMENTS * share, _ADAM, certain=True)
        if not copies:
            return [moments]
        return [self._item("float32 weights", "optimizer", FLOAT32 * share, source, certain=True), moments]

    def _full_gradients(self, values: int, source: str) -> MemoryItem:
        return self._item("float32 gradients", "optimizer", FLOAT32 * values, source, _STEP, certain=True)

    def _norm(self) -> MemoryItem:
        """Return the largest item of the norm of the gradients; what a step makes otherwise is larger, and later."""
        values = min(self.size.largest_trained, self._share)
        source = f"{_STAGE_1_AND_2}, get_norm_dtype"
        return self._item("a gradient in float64", "buffers", FLOAT64 * values, source, _STEP)

    def _buckets(self) -> list[MemoryItem]:
        """Stages 1 and 2: the buckets that gradients are summed in, from the first gradient of a pass to its last."""
        settings = self.settings
        each = settings.value_bytes * settings.reduce_bucket
        count = 2 if settings.overlaps else 1
        source = f"{_STAGE_1_AND_2}, setup_buckets: reduce_bucket_size {settings.reduce_bucket:g}"
        source += ", twice for overlap_comm" if settings.overlaps else ""
        copied = settings.value_bytes * min(settings.reduce_bucket, self._trained)
        return [
            self._item("bucket of gradients", "buffers", count * each, source, _PASS),
            self._item("copy of a bucket to sum", "buffers", copied, f"{_STAGE_1_AND_2}, allreduce_bucket", _PASS),
        ]

    def _gathered(self, divided: int) -> list[MemoryItem]:
        """Stage 3: weights that are whole. One that is used again soon stays, as at the turn to the backward pass."""
        settings, b = self.settings, self.settings.value_bytes
        if settings.workers == 1 and settings.offload == "none":  # a worker that has all of them copies none
            return []
        largest = self.size.largest_layer[0]
        live = min(divided, settings.reuse // 2 + largest)
        fetched = min(divided, max(largest, min(settings.prefetch, settings.live)))
        coordinator = "DeepSpeed zero/partitioned_param_coordinator.py"
        return [
            self._item(
                "live weights, whole",
                "gathered",
                b * live,
                f"{coordinator}: half of stage3_max_reuse_distance {settings.reuse:g}, and the largest layer",
                _READING,
            ),
            self._item(
                "weights being gathered",
                "gathered",
                b * fetched,
                "DeepSpeed zero/partition_parameters.py, AllGatherCoalescedHandle: stage3_prefetch_bucket_size "
                f"{settings.prefetch:g}, at most stage3_max_live_parameters {settings.live:g}",
                _READING,
            ),
        ]

    def _host(self, name: str, held: int, source: str, pinned: bool = False) -> MemoryItem:
        if pinned and self.settings.pins and held:
            # torch's allocator of page-locked memory rounds up (aten/src/ATen/core/CachingHostAllocator.h).
            held, source = 1 << (held - 1).bit_length(), f"{source}; pinned: a power of 2"
        return self._item(name, "optimizer", held, source, place="host")

    @staticmethod
    def _item(
        name: str,
        kind: Kind,
        held: int,
        source: str,
        phases: tuple[Phase, ...] = RUNNING,
        certain: bool = False,
        place: Place = "device",
    ) -> MemoryItem:
        return MemoryItem(name, kind, held, source, place, phases, certain)
