"""What a slot makes of workers that ended, with a real board and what Ray raises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError, WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from gazetune.cluster.local_ray import start_local_ray
from gazetune.config import Config
from gazetune.train.processes.lost_worker import LostWorker
from gazetune.train.processes.worker_group import Worker
from gazetune.trials.board import NAMESPACE, Board
from gazetune.trials.messages import DeviceFailure, JobFailure, TrainJob, WorkerSettings
from gazetune.trials.slot import MEMORY_KILL, MemoryWatch, Slot, SlotSettings
from gazetune.trials.slot_worker import SlotWorker
from tests.commands import BOUND
from tests.unit.trials.messages import train_job


@pytest.fixture(scope="module")
def board() -> Iterator[Any]:
    start_local_ray(num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield ray.remote(Board).options(num_cpus=0, name="board", namespace=NAMESPACE).remote()
    ray.shutdown()


def test_a_job_whose_worker_ray_killed_for_memory_fails_and_one_whose_worker_died_does_not(board: Any) -> None:
    for job_id in ("a", "b"):
        ray.get(board.submit_job.remote(train_job(job_id)))
    assert ray.get(board.take_job.remote(0, Config().resources, 1.0)).id == "a"
    watch: Any = MemoryWatch("board", 0)
    watch.after_exception(None, {1: WorkerHealthCheckFailedError("lost", ActorDiedError())})
    assert ray.wait([message := board.next_message.remote("a")], timeout=0.5)[0] == [], "this one is handed out again"
    watch.after_exception(None, {1: WorkerHealthCheckFailedError("lost", OutOfMemoryError("node running low"))})
    assert ray.get(message) == JobFailure(MEMORY_KILL, is_infeasible=True)
    assert ray.get(board.take_job.remote(0, Config().resources, 1.0)).id == "b"


def worker_died(reason: str) -> Exception:
    context = ActorDiedErrorContext(error_message=reason, actor_id=b"0" * 16)
    return WorkerHealthCheckFailedError("lost", ActorDiedError(context))


def test_a_slot_lost_its_place_with_its_node_or_to_somebody_else_but_not_when_workers_died(
    board: Any, tmp_path: Path
) -> None:
    slot = Slot(0, Config().resources, SlotSettings("board", tmp_path, tmp_path))
    died = worker_died("The actor is dead because its worker process has died.")
    with_node = worker_died("The actor died because its node has died. Node Id: 3f")
    for error, expected in (
        (WorkerGroupError("", {0: died}), False),
        (WorkerGroupError("", {0: RuntimeError("gloo: connection closed"), 1: with_node}), True),
        (ControllerError(WorkerGroupStartupTimeoutError(1)), True),
        (ControllerError(OSError("no space left")), False),
    ):
        slot.error = error
        assert slot.lost_placement is expected, error
    slot.withdraw_request()


def test_a_slot_whose_worker_stalled_says_so(board: Any, tmp_path: Path) -> None:
    slot = Slot(0, Config().resources, SlotSettings("board", tmp_path, tmp_path))
    said = "another worker gave no sign of life for 15 s (resources.worker_timeout)"
    slot.error = WorkerGroupError("", {0: LostWorker(said)})
    assert slot.describe_loss() == f"workers of a slot died: {said}"
    slot.error = WorkerGroupError("", {0: RuntimeError("LostWorker: is a word")})
    assert slot.describe_loss() == "workers of a slot died"
    slot.withdraw_request()


def test_who_gets_the_work_of_a_slot_and_does_none_imports_nothing_that_trains() -> None:
    code = (
        "import sys, pickle; from gazetune.trials import slot; from ray import cloudpickle\n"
        "pickle.loads(cloudpickle.dumps(slot.run_worker))\n"
        "print([name for name in ('gazetune.train.loop', 'transformers', 'peft', 'deepspeed') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=BOUND)
    assert done.stdout == "[]\n", done.stderr


class OnBrokenGpu(SlotWorker):
    """A worker whose GPU fails under every job."""

    def train(self, job: TrainJob) -> None:
        raise RuntimeError(f"CUDA error: {job.id}\nCUDA kernel errors might be asynchronously reported")


@pytest.mark.parametrize(("said", "fails"), [("uncorrectable ECC error", False), ("device-side assert", True)])
def test_a_job_is_not_failed_for_a_gpu_that_broke_and_its_node_is_named(board: Any, said: str, fails: bool) -> None:
    ray.get(board.submit_job.remote(train_job(said)))
    shape, slot = Config().resources, 3 + fails
    job = ray.get(board.take_job.remote(slot, shape, 1.0))
    settings = WorkerSettings("board", slot, shape, cache=Path("unused"), threads=1)
    with pytest.raises(RuntimeError, match="CUDA error"):
        OnBrokenGpu(board, Worker(0, 1, torch.device("cpu")), settings)._run_job(job)
    reason = f"RuntimeError: CUDA error: {said}"
    if fails:
        assert ray.get(board.next_message.remote(said)) == JobFailure(reason)
        assert ray.get(board.pop_device_failure.remote(slot)) is None
    else:
        assert ray.wait([board.next_message.remote(said)], timeout=0.5)[0] == [], "it is handed out again"
        node = ray.get_runtime_context().get_node_id()
        assert ray.get(board.pop_device_failure.remote(slot)) == DeviceFailure(node, said, reason, is_certain=True)
