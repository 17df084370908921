"""What tensors take on a device, counted alike on a GPU and on a CPU."""

from __future__ import annotations

import gc

import torch

from gazetune.train.processes.device_memory import release_device_memory


def count_allocated_bytes(device: torch.device) -> int:
    """Return the bytes of all tensors that are alive: as torch's allocator counts them, or those that Python knows."""
    release_device_memory(device)
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    storages = {}
    for each in gc.get_objects():
        # `isinstance` would ask objects that only pretend to be of a class what they are.
        if issubclass(type(each), torch.Tensor) and each.device.type == "cpu":
            storage = each.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def count_outside_bytes(device: torch.device) -> int | None:
    """Return what is used of a GPU that torch's allocator has not: contexts, NCCL, other processes. None for a CPU."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return total - free - torch.cuda.memory_reserved(device)


def describe_device(device: torch.device) -> dict[str, object]:
    """Return what the figures depend on."""
    if device.type != "cuda":
        return {"name": "cpu"}
    from gazetune.reward.layout.varlen import explain_no_varlen, find_varlen

    capability = torch.cuda.get_device_capability(device)
    return {
        "name": torch.cuda.get_device_name(device),
        "capability": ".".join(map(str, capability)),
        "gigabytes": round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1),
        "cuda": torch.version.cuda,
        "no_varlen_attn": explain_no_varlen(find_varlen(), capability),
        "matmul_flop_per_second": measure_matmul_flop(device),
    }


def measure_matmul_flop(device: torch.device, size: int = 8192, repeats: int = 10) -> float:
    """Return the FLOP a second of a large bf16 matrix product on a GPU: what a model could reach at most."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(3):
        one @ other
    begin.record()
    for _ in range(repeats):
        one @ other
    end.record()
    torch.cuda.synchronize(device)
    return 2 * size**3 * repeats / (begin.elapsed_time(end) / 1000)
