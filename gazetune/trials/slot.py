"""One warm slot on the driver's side: it asks Ray for its placement, then is one `TorchTrainer.fit()` in a thread.

The life of a slot::

    Slot() --> REQUESTED --granted_nodes--> start_workers --> STARTED --its worker group ends--> has_ended
                  |
                  +--withdraw_request--> (gone, nothing was started)

Ray Train would wait without an end for resources that no node has, and could not be called back. So the slot asks for a
placement group first, which also tells an autoscaler what is wanted. Ray Train starts once that was granted. It never
restarts a group, for the same reason: a slot whose workers died has ended, and another slot may follow it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import PlacementGroupID
from ray.actor import ActorProxy
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train import RunConfig, UserCallback
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.exceptions import InsufficientClusterResourcesError, WorkerGroupStartupTimeoutError
from ray.train.v2._internal.execution.callback import RayTrainCallback, WorkerGroupCallback
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2.api.config import FailureConfig, ScalingConfig
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, WorkerGroupError
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

from gazetune.cluster.nodes import ACCELERATOR_LABEL
from gazetune.config import ResourcesConfig
from gazetune.config.search import process_group_backend
from gazetune.train.processes.lost_worker import LostWorker
from gazetune.trials.board import NAMESPACE, Board
from gazetune.trials.messages import JobFailure, WorkerSettings

_NODE_LABEL = "ray.io/node-id"
"""Label that each node of a cluster has."""

_STRATEGIES = {"strict": "STRICT_PACK", "pack": "PACK", "spread": "SPREAD"}
"""Ray's strategy of placement for each value of `resources.pack`."""

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
    """Folder of prepared data."""


class SlotTrainer(TorchTrainer):
    """Ray Train without two processes that it has for each slot on the head.

    One serves data sets of Ray Data. The other asks once a second whether the controller is alive, and removes the
    placement group when it is not; here the driver does so, see `remove_group_placement`.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        trainer: Any = super()  # Ray has two classes of this name, and the other one is declared
        callbacks: list[RayTrainCallback] = trainer._create_default_callbacks()
        kept = [each for each in callbacks if not isinstance(each, DatasetsCallback | PlacementGroupCleanerCallback)]
        # First, so that the placement is known when the process group cannot be set up.
        settings: WorkerSettings = vars(self)["train_loop_config"]["settings"]
        return [PlacementNote(settings), *kept]


class PlacementNote(WorkerGroupCallback):
    """Tells the board which placement group a slot has, before its workers form a process group."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._board, self._slot = settings.board, settings.slot

    def after_worker_group_start(self, worker_group: WorkerGroup) -> None:
        """Note the placement group; the worker processes are there, and nothing of the backend is."""
        handle = worker_group.get_worker_group_state().placement_group_handle
        board: ActorProxy[Board] = ray.get_actor(self._board, namespace=NAMESPACE)
        ray.get(board.note_placement.remote(self._slot, handle.placement_group.id.hex()))


def remove_group_placement(placement: str) -> None:
    """Remove the placement group with this id in hex, if it is still there.

    Ray Train does so itself unless its controller died or the process group could not be set up. Then Ray would keep it
    until the driver ends, and no other slot could have its resources.
    """
    remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(placement))))


class Slot:
    """A worker group, from the request for its placement to its end."""

    def __init__(
        self, number: int, shape: ResourcesConfig, settings: SlotSettings, refused_nodes: Collection[str] = ()
    ) -> None:
        """Ask for a placement.

        Parameters
        ----------
        number
            One that no slot of the search had before.
        shape
            What the slot occupies.
        settings
            What all slots have in common.
        refused_nodes
            Ids of the nodes where it may not be.
        """
        self.number, self.shape, self._settings = number, shape, settings
        self.is_ready = False
        """Whether its workers are known to have asked for work; only looked for where trials have several shapes."""
        self.is_leaving = False
        """Whether it was told to end."""
        self.error: Exception | None = None
        """Why its worker group ended, when it was not told to."""
        self._thread: threading.Thread | None = None
        self._has_refused_nodes = bool(refused_nodes)
        selector = _worker_selector(shape)
        if refused_nodes:
            selector[_NODE_LABEL] = f"!in({','.join(sorted(refused_nodes))})"
        self._placement: PlacementGroup | None = placement_group(
            [_worker_resources(shape) for _ in range(shape.workers)],
            strategy=_STRATEGIES[shape.pack],
            bundle_label_selector=[selector for _ in range(shape.workers)],
        )

    @property
    def is_started(self) -> bool:
        """Whether it got its placement, and its worker group was started there."""
        return self._thread is not None

    @property
    def has_ended(self) -> bool:
        """Whether its worker group was started and has ended."""
        return self._thread is not None and not self._thread.is_alive()

    @property
    def lost_placement(self) -> bool:
        """Whether it ended because a node of its workers went away, or somebody else took its resources."""
        return self.error is not None and any(_is_placement_loss(cause) for cause in _failure_causes(self.error))

    def describe_loss(self) -> str:
        """Return in words why its worker group ended, when it was not told to."""
        if self.lost_placement:
            return "a slot lost its place"
        causes = [] if self.error is None else _failure_causes(self.error)
        said = [str(cause) for cause in causes if isinstance(cause, LostWorker)]
        return f"workers of a slot died: {said[0]}" if said else "workers of a slot died"

    def granted_nodes(self) -> list[str]:
        """Return the id of each worker's node, once the placement was granted; else an empty list."""
        table = {} if self._placement is None else placement_group_table(self._placement)
        if table.get("state") != "CREATED":
            return []
        return [table["bundles_to_node_id"][number] for number in range(self.shape.workers)]

    def start_workers(self, nodes: Sequence[str]) -> None:
        """Start the worker group on the nodes that were granted.

        The placement is given up in the same moment, as Ray Train asks for its own. Nobody else should ask for one
        then.
        """
        self.withdraw_request()
        self._thread = threading.Thread(target=self._run_group, args=(nodes,), name=f"slot-{self.number}", daemon=True)
        self._thread.start()

    def withdraw_request(self) -> None:
        """No longer ask for a placement."""
        if self._placement is not None:
            remove_placement_group(self._placement)
            self._placement = None

    def wait_for_end(self, timeout: float) -> None:
        """Wait for the end of the worker group, so that its CPUs are free again."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _run_group(self, nodes: Sequence[str]) -> None:
        # Ray Train is bound to the nodes only where some node is refused. Otherwise that would keep an autoscaler from
        # using another node, once the granted one was taken away as idle in this very moment.
        selectors = None
        if self._has_refused_nodes:
            selectors = [{_NODE_LABEL: node} for node in nodes]
        elif wanted := _worker_selector(self.shape):
            selectors = [wanted for _ in nodes]
        try:
            _create_trainer(self.number, self.shape, self._settings, selectors).fit()
        except Exception as error:
            # A thread has nobody to raise to: whoever looks after the slots finds the error here.
            self.error = error


class MemoryWatch(UserCallback):
    """Fails the job whose worker Ray killed for its memory: handed out again, it would need as much."""

    def __init__(self, board: str, slot: int) -> None:
        self._board, self._slot = board, slot

    def after_exception(self, run_context: object, worker_exceptions: dict[int, Exception]) -> None:
        """Look at why workers of the slot ended, before the slot counts as lost."""
        if any(isinstance(cause, OutOfMemoryError) for cause in _unwrap_errors(worker_exceptions.values())):
            board: ActorProxy[Board] = ray.get_actor(self._board, namespace=NAMESPACE)
            ray.get(board.fail_job_at.remote(self._slot, JobFailure(MEMORY_KILL, is_infeasible=True)))


def run_worker(loop_config: dict[str, WorkerSettings]) -> None:
    """Do what a worker of a slot does; Ray Train takes its settings as a dictionary.

    What trains models is imported only here. Ray Train's controller has this function too and no use for that, and
    workers are not started before it.
    """
    from gazetune.trials.slot_worker import run_worker_loop

    run_worker_loop(loop_config["settings"])


def _create_trainer(
    number: int, resources: ResourcesConfig, settings: SlotSettings, label_selectors: list[dict[str, str]] | None
) -> TorchTrainer:
    # RunConfig and TorchTrainer are annotated with these classes of another Ray Train.
    watch: Any = MemoryWatch(settings.board, number)
    never_again: Any = FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0)
    scaling: Any = ScalingConfig(
        num_workers=resources.workers,
        use_gpu=resources.gpus_per_worker > 0,
        resources_per_worker=_worker_resources(resources),
        placement_strategy=_STRATEGIES[resources.pack],
        label_selector=label_selectors,
    )
    worker_settings = WorkerSettings(
        board=settings.board,
        slot=number,
        resources=resources,
        cache=settings.cache,
        threads=max(1, int(resources.cpus_per_worker)),
    )
    return SlotTrainer(
        run_worker,
        train_loop_config={"settings": worker_settings},
        torch_config=TorchConfig(
            backend=process_group_backend("cuda" if resources.gpus_per_worker else "cpu"),
            timeout_s=resources.worker_timeout,
        ),
        scaling_config=scaling,
        run_config=RunConfig(
            name=f"slot-{number}",
            storage_path=str(settings.storage),
            failure_config=never_again,
            callbacks=[watch],
        ),
    )


def _worker_selector(resources: ResourcesConfig) -> dict[str, str]:
    """Return the labels that the node of a worker must have."""
    return {} if resources.accelerator is None else {ACCELERATOR_LABEL: resources.accelerator}


def _worker_resources(resources: ResourcesConfig) -> dict[str, float]:
    """Return what one worker claims of Ray."""
    claimed: dict[str, float] = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        claimed["GPU"] = resources.gpus_per_worker
    return claimed


def _failure_causes(error: Exception) -> Iterable[BaseException]:
    if isinstance(error, WorkerGroupError):
        return _unwrap_errors(error.worker_failures.values())
    return [error.controller_failure if isinstance(error, ControllerError) else error]


def _unwrap_errors(errors: Iterable[Exception]) -> list[BaseException]:
    """Return what is inside of what Ray Train's health check wraps."""
    return [getattr(error, "health_check_failure", error) for error in errors]


def _is_placement_loss(cause: BaseException) -> bool:
    if isinstance(cause, PreemptionError | WorkerGroupStartupTimeoutError | InsufficientClusterResourcesError):
        return True
    # That an actor died with its node only Ray's message tells.
    return isinstance(cause, ActorDiedError) and (cause.preempted or "node has died" in str(cause))
