"""The worker processes of one run: joining their process group, and the few collectives that the loop needs."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from gazetune.train.processes.deepspeed_op import prepare_ops


@dataclass(frozen=True)
class Worker:
    """This process among the workers of a run."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Rank 0 alone writes files and reports."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum of `tensor` over all workers."""
        summed = tensor.detach().clone()
        dist.all_reduce(summed)
        return summed

    def agree(self, flag: bool) -> bool:
        """Return rank 0's `flag` on every worker."""
        decided = torch.tensor([int(flag)], device=self.device)
        dist.broadcast(decided, src=0)
        return bool(decided.item())

    def wait(self) -> None:
        """Return once every worker is here."""
        dist.barrier()


def join_workers() -> Worker:
    """Join the process group: the one Ray Train or torchrun prepared, or a group of this process alone."""
    device = _device()
    if not dist.is_initialized() and "RANK" not in os.environ:
        os.environ.update(
            RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(_free_port())
        )
    # DeepSpeed reads the accelerator once, when it is imported.
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    prepare_ops()
    import deepspeed

    backend = "nccl" if device.type == "cuda" else "gloo"
    deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, verbose=False)
    return Worker(dist.get_rank(), dist.get_world_size(), device)


def leave_workers() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        from deepspeed import comm

        comm.destroy_process_group()  # torch's own would leave DeepSpeed with groups that are no more


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
