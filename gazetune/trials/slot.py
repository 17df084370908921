"""One warm slot on the driver's side: it asks for its place in the cluster, then is one `TorchTrainer.fit()`."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train import RunConfig, UserCallback
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.exceptions import InsufficientClusterResourcesError, WorkerGroupStartupTimeoutError
from ray.train.v2.api.config import FailureConfig, ScalingConfig
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, WorkerGroupError
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

from gazetune.config import ResourcesConfig
from gazetune.trials.feeder import NAMESPACE

_NODE = "ray.io/node-id"
"""Label that each node of a cluster has."""

MEMORY_KILL = (
    "out of memory: a worker's node ran low on memory, so Ray ended the worker; what helps: fewer resources.workers on "
    "a node (more resources.cpus_per_worker), a smaller batch, deepspeed.stage 2 or 3 (see gazetune plan)"
)


@dataclass(frozen=True, slots=True)
class SlotSettings:
    """What all slots of a search have in common."""

    board: str
    """Name of the board's actor."""
    storage: Path
    """Where Ray Train keeps what it knows of the worker groups."""
    cache: Path
    """Of prepared data."""


class Slot:
    """A worker group, from asking for its place to its end.

    Ray Train would wait for a place that no node has without an end, and could not be called back. So the place is
    asked for here first, which also tells an autoscaler what is wanted, and Ray Train starts once it is there. For the
    same reason Ray Train never restarts a group: a slot whose workers died is over, and another one may follow.
    """

    def __init__(
        self, number: int, shape: ResourcesConfig, settings: SlotSettings, without: Collection[str] = ()
    ) -> None:
        """Ask for a place.

        `number` must be one that no slot of the search had before; `shape` is what it occupies; `without` has the ids
        of nodes where it may not be.
        """
        self.number, self.shape, self._settings = number, shape, settings
        self.up = False
        """Whether its workers are known to have asked for work; only looked for where trials have several shapes."""
        self.leaving = False
        """Whether it was told to end."""
        self.error: Exception | None = None
        """Why its worker group ended, when it was not told to."""
        self._thread: threading.Thread | None = None
        self._where = {_NODE: f"!in({','.join(sorted(without))})"} if without else {}
        self._place: PlacementGroup | None = placement_group(
            [_bundle(shape) for _ in range(shape.workers)],
            strategy="PACK",
            bundle_label_selector=[self._where for _ in range(shape.workers)],
        )

    @property
    def placed(self) -> bool:
        """Whether there is a place for it."""
        return self._thread is not None

    @property
    def ended(self) -> bool:
        """Whether its worker group has come and gone."""
        return self._thread is not None and not self._thread.is_alive()

    @property
    def place_lost(self) -> bool:
        """Whether it ended because a node with one of its workers went away, or somebody else took its place."""
        return self.error is not None and any(_lost_its_place(cause) for cause in _causes(self.error))

    def granted(self) -> list[str]:
        """Return the id of each worker's node, once the place is there that it asks for; else none."""
        table = {} if self._place is None else placement_group_table(self._place)
        if table.get("state") != "CREATED":
            return []
        return [table["bundles_to_node_id"][number] for number in range(self.shape.workers)]

    def start(self, nodes: Sequence[str]) -> None:
        """Start the worker group in the place that was granted, which is on these nodes.

        The place is given up for it, as Ray Train asks for its own: nobody else should ask for one in that moment.
        """
        self.give_up_place()
        self._thread = threading.Thread(target=self._run, args=(nodes,), name=f"slot-{self.number}", daemon=True)
        self._thread.start()

    def give_up_place(self) -> None:
        """No longer ask for a place."""
        if self._place is not None:
            remove_placement_group(self._place)
            self._place = None

    def wait(self, timeout: float) -> None:
        """Wait for the end of the worker group, so that its CPUs are free again."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, nodes: Sequence[str]) -> None:
        # Only where some node is left out: else an autoscaler may take a node that is idle for this moment.
        where = [{_NODE: node} for node in nodes] if self._where else None
        try:
            _trainer(self.number, self.shape, self._settings, where).fit()
        except Exception as error:
            # A thread has nobody to raise to: whoever looks after the slots finds it here.
            self.error = error


class MemoryWatch(UserCallback):
    """Fails the job whose worker Ray killed for its memory: handed out again, it would need as much."""

    def __init__(self, board: str, slot: int) -> None:
        self._board, self._slot = board, slot

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Look at why workers of the slot ended, before the slot counts as lost."""
        if any(isinstance(cause, OutOfMemoryError) for cause in _unwrapped(worker_exceptions.values())):
            board: Any = ray.get_actor(self._board, namespace=NAMESPACE)
            ray.get(board.fail_at.remote(self._slot, MEMORY_KILL))


def work(settings: dict[str, Any]) -> None:
    """Do what a worker of a slot does.

    Imported only there: Ray Train's controller has this function too, but no use for what trains models, and workers
    are not started before it.
    """
    from gazetune.train.processes.slot_worker import slot_loop

    slot_loop(settings)


def _trainer(
    number: int, resources: ResourcesConfig, settings: SlotSettings, where: list[dict[str, str]] | None
) -> TorchTrainer:
    # RunConfig and TorchTrainer are annotated with these classes of another Ray Train.
    watch: Any = MemoryWatch(settings.board, number)
    never_again: Any = FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0)
    loop: dict[str, Any] = {
        "board": settings.board,
        "namespace": NAMESPACE,
        "slot": number,
        "resources": resources.model_dump(mode="json"),
        "cache": str(settings.cache),
        "threads": max(1, int(resources.cpus_per_worker)),
    }
    scaling: Any = ScalingConfig(
        num_workers=resources.workers,
        use_gpu=resources.gpus_per_worker > 0,
        resources_per_worker=_bundle(resources),
        label_selector=where,
    )
    return TorchTrainer(
        work,
        train_loop_config=loop,
        scaling_config=scaling,
        run_config=RunConfig(
            name=f"slot-{number}",
            storage_path=str(settings.storage),
            failure_config=never_again,
            callbacks=[watch],
        ),
    )


def _bundle(resources: ResourcesConfig) -> dict[str, float]:
    """Return what one worker claims."""
    claimed: dict[str, float] = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        claimed["GPU"] = resources.gpus_per_worker
    return claimed


def _causes(error: Exception) -> Iterable[BaseException]:
    if isinstance(error, WorkerGroupError):
        return _unwrapped(error.worker_failures.values())
    return [error.controller_failure if isinstance(error, ControllerError) else error]


def _unwrapped(errors: Iterable[Exception]) -> list[BaseException]:
    """Return what is inside of what Ray Train's health check wraps."""
    return [getattr(error, "health_check_failure", error) for error in errors]


def _lost_its_place(cause: BaseException) -> bool:
    if isinstance(cause, PreemptionError | WorkerGroupStartupTimeoutError | InsufficientClusterResourcesError):
        return True
    # That an actor died with its node only Ray's message tells.
    return isinstance(cause, ActorDiedError) and (cause.preempted or "node has died" in str(cause))
