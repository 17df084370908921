"""What a slot makes of workers that ended, with a real board and what Ray raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from gazetune.search.slots.board import Board
from gazetune.search.slots.feeder import NAMESPACE
from gazetune.search.slots.slots import MEMORY_KILL, MemoryWatch


@pytest.fixture
def board() -> Iterator[Any]:
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield ray.remote(Board).options(num_cpus=0, name="board", namespace=NAMESPACE).remote()
    ray.shutdown()


def test_a_job_whose_worker_ray_killed_for_memory_fails_and_one_whose_worker_died_does_not(board: Any) -> None:
    for job_id in ("a", "b"):
        ray.get(board.submit.remote({"id": job_id, "kind": "train"}))
    assert ray.get(board.take.remote(0, 1.0))["id"] == "a"
    watch: Any = MemoryWatch("board", 0)
    watch.after_exception(None, {1: WorkerHealthCheckFailedError("lost", ActorDiedError())})
    assert ray.wait([message := board.next.remote("a")], timeout=0.5)[0] == [], "this one is handed out again"
    watch.after_exception(None, {1: WorkerHealthCheckFailedError("lost", OutOfMemoryError("node running low"))})
    assert ray.get(message) == {"failed": MEMORY_KILL}
    assert ray.get(board.take.remote(0, 1.0))["id"] == "b"
