"""Warm slots on the driver's side: each is one `TorchTrainer.fit()` in a thread, as many as the cluster holds."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import OutOfMemoryError
from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchTrainer

from gazetune.config import ResourcesConfig
from gazetune.search.slots.board import Board
from gazetune.search.slots.feeder import NAMESPACE
from gazetune.train.ray_worker import slot_loop

MEMORY_KILL = (
    "out of memory: a worker's node ran low on memory, so Ray ended the worker; what helps: fewer resources.workers on "
    "a node (more resources.cpus_per_worker), a smaller batch, deepspeed.stage 2 or 3 (see gazetune plan)"
)


class Slots:
    """The worker groups of one search and the board that feeds them."""

    def __init__(self, count: int, resources: ResourcesConfig, storage: Path, cache: Path, max_restarts: int) -> None:
        self.board_name = f"board-{uuid4().hex[:12]}"
        # The driver's actors stay on the head: a spot node may take workers away, never the search itself.
        self.board: Any = (
            ray.remote(Board)
            .options(num_cpus=0, name=self.board_name, namespace=NAMESPACE, resources={"node:__internal_head__": 0.001})
            .remote()
        )
        self._left = count
        self._closed = False
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._run, args=(slot, resources, storage, cache, max_restarts), name=f"slot-{slot}", daemon=True
            )
            for slot in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def close(self, timeout: float) -> None:
        """Let every slot end and wait for it, so that its CPUs are free again."""
        ray.get(self.board.close.remote())
        for thread in self._threads:
            thread.join(timeout)
        with self._lock:
            self._closed = True
        ray.kill(self.board)

    def _run(self, slot: int, resources: ResourcesConfig, storage: Path, cache: Path, max_restarts: int) -> None:
        reason = "its worker group ended"
        try:
            _trainer(slot, self.board_name, resources, storage, cache, max_restarts).fit()
        except Exception as error:
            # A thread has nobody to raise to; the jobs of this slot carry the reason.
            reason = f"its worker group could not be kept up: {_last_line(error)}"
        with self._lock:
            self._left -= 1
            if not self._closed:
                self.board.slot_lost.remote(slot, reason, self._left)


class MemoryWatch(UserCallback):
    """Fails the job whose worker Ray killed for its memory: handed out again, it would need as much."""

    def __init__(self, board: str, slot: int) -> None:
        self._board, self._slot = board, slot

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Look at why workers of the slot ended, before the group is restarted."""
        # Ray Train wraps what its health check met.
        causes = [getattr(error, "health_check_failure", error) for error in worker_exceptions.values()]
        if any(isinstance(cause, OutOfMemoryError) for cause in causes):
            board: Any = ray.get_actor(self._board, namespace=NAMESPACE)
            ray.get(board.fail_at.remote(self._slot, MEMORY_KILL))


def _trainer(
    slot: int, board: str, resources: ResourcesConfig, storage: Path, cache: Path, max_restarts: int
) -> TorchTrainer:
    per_worker: dict[str, float] = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        per_worker["GPU"] = resources.gpus_per_worker
    watch: Any = MemoryWatch(board, slot)  # RunConfig is annotated with the callbacks of another Ray Train
    settings: dict[str, Any] = {
        "board": board,
        "namespace": NAMESPACE,
        "slot": slot,
        "cache": str(cache),
        "threads": max(1, int(resources.cpus_per_worker)),
    }
    return TorchTrainer(
        slot_loop,
        train_loop_config=settings,
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker=per_worker,
        ),
        run_config=RunConfig(
            name=f"slot-{slot}",
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=max_restarts),
            callbacks=[watch],
        ),
    )


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
