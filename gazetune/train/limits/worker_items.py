"""What a worker holds beside its training state: the contexts of CUDA and NCCL, and its CPU memory."""

from __future__ import annotations

from gazetune.config import Config
from gazetune.train.limits.memory_items import PHASES, MemoryItem
from gazetune.train.limits.model_size import FLOAT32, ModelSize

MIB = 2**20
CUDA_CONTEXT = 426 * MIB
"""Of a process that has used a GPU, before its kernels are there: torch 2.10 with CUDA 13.0 on an RTX 6000 Ada, as
measured in https://github.com/unslothai/unsloth-zoo/pull/1053. Kernels are loaded when they are first used."""
CUBLAS_WORKSPACE = 32 * MIB
"""torch's default on GPUs from Hopper on, 8 MiB on others (`CUBLAS_WORKSPACE_CONFIG`, docs/source/notes/cuda.rst)."""
NCCL_GROUP = {1: 0, 2: 544 * 10**6}
NCCL_LARGE_GROUP = 688 * 10**6
"""Of a process group of so many workers, and of more: 4 A100 with NVLink, as measured in
https://github.com/NVIDIA/nccl/issues/964. It grows with NCCL_BUFFSIZE and the number of channels."""
NCCL_GROUPS = 2
"""That of all workers and DeepSpeed's copy of it (deepspeed/utils/groups.py, _clone_world_group)."""
PROCESS = 575 * MIB
"""Resident memory of a process that has imported what trains, measured here with torch 2.13 for CPUs. CUDA's libraries
come on top."""


def list_outside_items(config: Config) -> list[MemoryItem]:
    """Return what CUDA and NCCL allocate on a GPU beside torch; nothing on a CPU."""
    if not config.resources.gpus_per_worker:
        return []
    context = "unslothai/unsloth-zoo#1053, torch 2.10; torch's cuBLAS workspace"
    items = [MemoryItem("CUDA context", "outside", CUDA_CONTEXT + CUBLAS_WORKSPACE, context, phases=PHASES)]
    group = NCCL_GROUP.get(config.resources.workers, NCCL_LARGE_GROUP)
    if group:
        source = f"NVIDIA/nccl#964, {group / 1e6:.0f} MB a group: all workers, and DeepSpeed's copy of the group"
        items.append(MemoryItem("NCCL", "outside", NCCL_GROUPS * group, source, phases=PHASES))
    return items


def list_host_items(config: Config, size: ModelSize, value_bytes: int) -> list[MemoryItem]:
    """Return what a worker has in CPU memory whatever is offloaded."""
    largest = FLOAT32 * size.largest_trained
    saved = "gazetune, one tensor at a time on rank 0"
    items = [
        MemoryItem("Python and libraries", "outside", PROCESS, "measured, torch 2.13 for CPUs", "host", PHASES),
        MemoryItem("a tensor to save", "buffers", largest, saved, "host", ("evaluation",), on_main=True),
    ]
    if config.deepspeed.stage == 3 and (config.resources.workers > 1 or config.deepspeed.offload != "none"):
        read, source = value_bytes * size.value_count, "transformers, _load_state_dict_into_zero3_model: rank 0 alone"
    elif config.resources.gpus_per_worker:  # each weight goes to the device as soon as it is read
        read, source = value_bytes * max(*size.trained, *size.frozen, 0), "transformers, device_map: a weight at a time"
    else:
        return items
    alone = config.deepspeed.stage == 3
    items.append(MemoryItem("backbone, while read", "parameters", read, source, "host", ("start",), on_main=alone))
    return items
