"""Whether a device can hold what a run needs for certain, asked before a weight is read."""

from __future__ import annotations

import torch

from gazetune.config import Config
from gazetune.train.limits.memory_estimate import configured_memory, estimate_memory
from gazetune.train.limits.run_failures import InfeasibleConfig
from gazetune.train.processes.worker_group import Worker

GIB = 2**30


def read_device_capacity(device: torch.device) -> int | None:
    """Return the bytes of memory that a GPU has; None for a CPU, whose memory others use, too."""
    if device.type != "cuda":
        return None
    return int(torch.cuda.get_device_properties(device).total_memory)


def refuse_excess(config: Config, worker: Worker, capacity: int | None) -> None:
    """Refuse a run where the device of a worker cannot hold what it needs for certain. Every worker calls it.

    Raises
    ------
    InfeasibleConfig
        On every worker, with the reason of the first one that has one.
    """
    if problem := worker.share_problem(describe_excess(config, capacity) or ""):
        raise InfeasibleConfig(problem)


def describe_excess(config: Config, capacity: int | None) -> str | None:
    """Return in one line why a worker of `config` cannot run on a device of `capacity` bytes; None where it may.

    Only weights, gradients and optimiser states count, of which a run holds all. Where those fit, buffers and
    activations may still not.
    """
    if capacity is None:
        return None
    needed = configured_memory(config, estimate_memory(config)).certain_peak
    if needed <= capacity:
        return None
    return (
        f"a worker's weights, gradients and optimizer states take {needed / GIB:.1f} GiB, and its device has "
        f"{capacity / GIB:.1f} GiB; what helps: {_list_advice(config)}"
    )


def _list_advice(config: Config) -> str:
    advice = []
    if config.deepspeed.stage < 3 and config.adapter.quantization == "none":
        advice.append(f"a deepspeed.stage above {config.deepspeed.stage}")
    if config.deepspeed.offload == "none":
        advice.append("deepspeed.offload: cpu")
    if config.deepspeed.stage:
        advice.append(f"more than {config.resources.workers} resources.workers")
    return ", ".join([*advice, "a smaller backbone"])
