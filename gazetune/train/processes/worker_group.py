"""The worker processes of one run: joining their process group, and the few collectives that the loop needs.

The workers are started before this: by Ray Train, by torchrun, or by `launch_workers`, which set `RANK` and the other
environment variables of torch's process groups. Without them this process is a group by itself.

Tensors of a model travel over NCCL between GPUs. Decisions of rank 0, problems and waiting travel over gloo, on the
CPU: a worker that waits for them keeps no GPU busy. None waits for another one longer than `resources.worker_timeout`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import distributed_c10d

from gazetune.config.search import WORKER_TIMEOUT, process_group_backend
from gazetune.devices import ACCELERATOR_VARIABLE, choose_worker_device, hide_gpus
from gazetune.errors import InputError
from gazetune.train.processes.deepspeed_op import prepare_op
from gazetune.train.processes.device_memory import prefer_expandable_segments

SIGN_OF_LIFE_SECONDS = 2.0
"""How often rank 0 is heard of while the others wait for something that it does alone."""

_Answer = TypeVar("_Answer")


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

    def ask_main(self, question: Callable[[], bool]) -> bool:
        """Return on every worker what `question` returns on rank 0, which alone calls it, however long that takes.

        Meanwhile the workers hear of one another, so that no limit is reached unless one of them stalls.
        """
        if self.world_size == 1:
            return question()
        if not self.is_main:
            while not self._share_flag(False):  # not answered yet
                pass
            return self._share_flag(False)
        answering: Future[bool] = Future()
        Thread(target=_answer, args=(question, answering), daemon=True).start()
        while not wait([answering], SIGN_OF_LIFE_SECONDS).done:
            self._share_flag(False)
        answer = answering.result()
        self._share_flag(True)
        return self._share_flag(answer)

    def share_object(self, value: _Answer) -> _Answer:
        """Return rank 0's `value`, which can be pickled, on every worker."""
        values = [value]
        dist.broadcast_object_list(values, src=0)
        self.wait_for_all()  # rank 0 would otherwise not see that another one stalls
        return values[0]

    def share_problem(self, problem: str) -> str:
        """Return on every worker the problem of the first one that has one; an empty text where none has."""
        problems = [""] * self.world_size
        dist.all_gather_object(problems, problem)
        return next((each for each in problems if each), "")

    def wait_for_all(self) -> None:
        """Return once every worker has called this."""
        self._share_flag(False)

    def _share_flag(self, flag: bool) -> bool:
        """Return rank 0's `flag` on every worker, each of which has come here then."""
        decided = torch.tensor([int(flag and self.is_main)])  # on the CPU, whatever the device is
        dist.all_reduce(decided)
        return bool(decided.item())


_ALONE = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
"""What DeepSpeed looks for in the environment of a process without a launcher."""

_before_alone: dict[str, str | None] = {}
"""What stood there before."""


def join_worker_group(gpus: float | None = None, timeout: float = WORKER_TIMEOUT) -> Worker:
    """Join the process group: the one Ray Train or torchrun prepared, or a group of this process alone.

    Parameters
    ----------
    gpus
        `resources.gpus_per_worker` of the run; with 0 this process sees no GPU from here on. None where no run says so:
        then a GPU is taken where there is one.
    timeout
        Seconds that no worker waits longer for another one. A group that Ray Train made has its own limit.

    Raises
    ------
    InputError
        When the run asks for a GPU that this process does not see.
    """
    prefer_expandable_segments()
    device = _take_device(gpus)
    is_alone = not dist.is_initialized() and "MASTER_ADDR" not in os.environ
    if is_alone:
        _before_alone.update({name: os.environ.get(name) for name in _ALONE})
        os.environ.update(_ALONE)
    # DeepSpeed reads the accelerator once, when it is imported. It would look for one by itself, and find another.
    os.environ[ACCELERATOR_VARIABLE] = device.type
    prepare_op()
    import deepspeed

    backend, limit = process_group_backend(device.type), timedelta(seconds=timeout)
    if is_alone:
        # Nobody has to find this group, so it needs no port, which another process might take first.
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    elif not dist.is_initialized():
        # Workers may start long after one another: the limit is for those that have found one another.
        store, rank, world_size = next(dist.rendezvous("env://"))
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=limit)
    deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, verbose=False, timeout=limit)
    return Worker(dist.get_rank(), dist.get_world_size(), device)


def limit_waits(timeout: float) -> None:
    """Let no worker wait longer than `timeout` seconds in any process group of this process.

    DeepSpeed makes groups of its own when an engine is made, and gives them no limit; torch's default is half an hour.
    """
    for group in list(distributed_c10d._world.pg_map):
        distributed_c10d._set_pg_timeout(timedelta(seconds=timeout), group)


def leave_worker_group() -> None:
    """Leave the process group, if there is one; the environment is what it was before this process joined alone."""
    if dist.is_initialized():
        from deepspeed import comm

        # torch's own function would leave DeepSpeed with groups that no longer exist.
        comm.destroy_process_group()
    # Other libraries in this process would take them for those of a launcher, and look for its address.
    for name, value in _before_alone.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _before_alone.clear()


def _answer(question: Callable[[], bool], answering: Future[bool]) -> None:
    try:
        answering.set_result(question())
    except BaseException as error:
        answering.set_exception(error)


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
