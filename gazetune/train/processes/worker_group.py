"""The worker processes of one run: joining their process group, and the few collectives that the loop needs.

The workers are started before this: by Ray Train, by torchrun, or by `launch_workers`, which set `RANK` and the other
environment variables of torch's process groups. Without them this process is a group by itself.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from gazetune.devices import ACCELERATOR_VARIABLE, choose_worker_device, hide_gpus
from gazetune.errors import InputError
from gazetune.train.processes.deepspeed_op import prepare_op
from gazetune.train.processes.device_memory import prefer_expandable_segments


@dataclass(frozen=True)
class Worker:
    """This process among the workers of a run."""

    rank: int
    """0 to `world_size` - 1."""
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which alone writes files and reports."""
        return self.rank == 0

    def sum_over_workers(self, tensor: Tensor) -> Tensor:
        """Return the sum of `tensor` over all workers."""
        summed = tensor.detach().clone()
        dist.all_reduce(summed)
        return summed

    def broadcast_flag(self, flag: bool) -> bool:
        """Return rank 0's `flag` on every worker."""
        decided = torch.tensor([int(flag)], device=self.device)
        dist.broadcast(decided, src=0)
        return bool(decided.item())

    def share_problem(self, problem: str) -> str:
        """Return on every worker the problem of the first one that has one; an empty text where none has."""
        problems = [""] * self.world_size
        dist.all_gather_object(problems, problem)
        return next((each for each in problems if each), "")

    def wait_for_all(self) -> None:
        """Return once every worker has called this."""
        dist.barrier()


def join_worker_group(gpus: float | None = None) -> Worker:
    """Join the process group: the one Ray Train or torchrun prepared, or a group of this process alone.

    Parameters
    ----------
    gpus
        `resources.gpus_per_worker` of the run; with 0 this process sees no GPU from here on. None where no run says so:
        then a GPU is taken where there is one.

    Raises
    ------
    InputError
        When the run asks for a GPU that this process does not see.
    """
    prefer_expandable_segments()
    device = _take_device(gpus)
    is_alone = not dist.is_initialized() and "MASTER_ADDR" not in os.environ
    if is_alone:
        os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
    # DeepSpeed reads the accelerator once, when it is imported. It would look for one by itself, and find another.
    os.environ[ACCELERATOR_VARIABLE] = device.type
    prepare_op()
    import deepspeed

    backend = "nccl" if device.type == "cuda" else "gloo"
    if is_alone:
        # Nobody has to find this group, so it needs no port, which another process might take first.
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, verbose=False)
    return Worker(dist.get_rank(), dist.get_world_size(), device)


def leave_worker_group() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        from deepspeed import comm

        # torch's own function would leave DeepSpeed with groups that no longer exist.
        comm.destroy_process_group()


def _take_device(gpus: float | None) -> torch.device:
    """Make the device of this worker the current one, and return it."""
    name = choose_worker_device(gpus, os.environ)
    if name == "cpu" or (gpus is None and not torch.cuda.is_available()):
        hide_gpus()
        return torch.device("cpu")
    device, count = torch.device(name), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.index >= count:
        raise InputError(
            f"resources.gpus_per_worker: {gpus or 1:g} asks for a GPU for worker {device.index + 1} of "
            f"{socket.gethostname()}, where torch sees {count} GPU(s) (see gazetune doctor); accepted: 0"
        )
    torch.cuda.set_device(device)
    return device
