"""The warm slots of a search: as many as the cluster holds and jobs are left for, while both change.

A thread looks every half second at the nodes, at the slots and at the board, and brings the slots in line::

                        too many, or in the way of another one
                       +------- withdraw -----> (gone)
                       |
    request --> REQUESTED --granted--> STARTED --asks for work--> READY --released--> LEAVING --> ended, removed
                                          |                         |
                                          +----- its workers die ---+--> ended: its job is queued again, removed

A slot has a shape: the resources that it occupies. Where all trials need the same shape, slots stand ready for those to
come. Where trials need different shapes, which one the next trial needs is known when it is proposed. A slot of that
shape is requested then, and idle slots of other shapes leave for it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from uuid import uuid4

import ray
from ray.actor import ActorProxy

from gazetune.cluster.capacity import ROUNDING, NodeResources, all_trials_fit, count_slots, require_slots
from gazetune.cluster.node_watch import NodeSource
from gazetune.cluster.nodes import alive_nodes
from gazetune.config import ResourcesConfig
from gazetune.errors import InputError
from gazetune.trials.board import NAMESPACE, Board, BoardState
from gazetune.trials.messages import DeviceFailure
from gazetune.trials.slot import Slot, SlotSettings, remove_group_placement
from gazetune.trials.slot_losses import MOST_FAILURES, DeviceFailures, WorkerDeaths

ADJUST_SECONDS = 0.5
"""How often the slots are brought in line."""

NODE_SECONDS = 3.0
"""How often the nodes of the cluster are counted."""

MAX_FUTILE_GROUPS = 3
"""Worker groups in a row that may end before they took a job, beyond one for each slot."""


class SlotPool:
    """The worker groups of one search, the thread that looks after them, and the board that feeds them."""

    def __init__(
        self,
        shapes: Sequence[ResourcesConfig],
        patience: float,
        nodes: NodeSource,
        jobs: int,
        storage: Path,
        cache: Path,
        on_change: Callable[[Counter[ResourcesConfig], str | None], None],
    ) -> None:
        """Start as many slots as fit; with several shapes none before there is a job.

        Parameters
        ----------
        shapes
            What jobs may need.
        patience
            Seconds that there may be no node for a slot that is needed.
        nodes
            Asks for the nodes.
        jobs
            How many are still to be done; `finish_job` counts them down. One slot is kept for what follows.
        storage, cache
            As in `SlotSettings`.
        on_change
            Is told how many slots of each shape are started, whenever that is another number, and why if some were
            lost.
        """
        self.board_name = f"board-{uuid4().hex[:12]}"
        # The driver's actors stay on the head: a spot node may take workers away, never the search itself.
        self.board: ActorProxy[Board] = (
            ray.remote(Board)
            .options(num_cpus=0, name=self.board_name, namespace=NAMESPACE, resources={"node:__internal_head__": 0.001})
            .remote()
        )
        self.fatal_reason: str | None = None
        """Why no slot can be kept up any more; None as long as there are some, or some may come."""
        self._settings = SlotSettings(self.board_name, storage, cache)
        self._shapes, self._patience, self._nodes, self._on_change = tuple(shapes), patience, nodes, on_change
        self._jobs_left = jobs
        self._slots: list[Slot] = []
        self._next_number = 0
        self._futile_groups = 0
        """Worker groups in a row that ended before they took a job."""
        self._announced = Counter[ResourcesConfig]()
        """The numbers of slots that `on_change` was told last."""
        self._node_resources: Sequence[NodeResources] = ()
        self._alive: set[str] = set()
        """Ids of the nodes that were alive when they were last counted."""
        self._deaths = WorkerDeaths()
        self._device_failures = DeviceFailures()
        self._counted_at = time.monotonic()
        self._last_held = dict.fromkeys(self._shapes, self._counted_at)
        """When a slot of each shape was last started, or could be, or was not needed."""
        self._lock = threading.Lock()
        """Guards `_slots` and `_jobs_left`, which the driver's thread uses too."""
        self._closing = threading.Event()
        self._count_nodes()
        self._adjust_slots()
        self._thread = threading.Thread(target=self._watch_slots, name="slots", daemon=True)
        self._thread.start()

    def has_capacity(self, running: Sequence[ResourcesConfig]) -> bool:
        """Tell whether there is a slot for one more trial beside those that run, given by their shapes.

        With one shape, only slots that are started count. With several shapes it is enough that some trial would fit.
        If the next one does not, no other is begun until it does, or small trials would never let a large one in.
        """
        if len(self._shapes) == 1:
            return len(running) < self._count_started().total()
        return any(all_trials_fit(self._node_resources, [*running, shape]) for shape in self._shapes)

    def finish_job(self, job_id: str) -> None:
        """Take a job that ended off the board: one job less is left."""
        with self._lock:
            self._jobs_left -= 1
        self.board.cancel_job.remote(job_id)

    def expect_jobs(self, jobs: int) -> None:
        """Say how many jobs are left now: as many slots stay, or are started, where they fit."""
        with self._lock:
            self._jobs_left = jobs

    def keep_one_slot(self) -> None:
        """Let all slots but one end: what follows is one job after another."""
        with self._lock:
            self._jobs_left = 0

    def close(self, timeout: float) -> None:
        """Let every slot end and wait for it, so that its CPUs are free again."""
        self._closing.set()
        self._thread.join(timeout)
        with self._lock:
            slots = list(self._slots)
        for slot in slots:
            slot.withdraw_request()
        with contextlib.suppress(ray.exceptions.RayError):  # the board may have died before
            ray.get(self.board.close.remote(), timeout=timeout)
        deadline = time.monotonic() + timeout
        for slot in slots:
            slot.wait_for_end(max(0.0, deadline - time.monotonic()))
        ray.kill(self.board)  # type: ignore[arg-type]  # an actor's proxy is its handle

    def _watch_slots(self) -> None:
        while not self._closing.wait(ADJUST_SECONDS):
            try:
                if time.monotonic() - self._counted_at >= NODE_SECONDS:
                    self._count_nodes()
                self._adjust_slots()
            except Exception as error:
                # A thread has nobody to raise to, and a search without slots would wait without an end.
                self.fatal_reason = f"the slots cannot be looked after any more: {_last_line(error)}"
                return

    def _count_nodes(self) -> None:
        """Ask for the nodes, and tell the board why workers died: it is known only now whether a node was lost."""
        self._node_resources, self._counted_at = self._nodes.list_nodes(), time.monotonic()
        alive = set(alive_nodes())
        for slot in self._deaths.pop_node_losses(node_lost=bool(self._alive - alive)):
            self.board.attribute_to_node_loss.remote(slot)
        for slot in self._deaths.pop_worker_failures(self._counted_at):
            self.board.confirm_worker_failure.remote(slot)
        self._alive = alive

    def _adjust_slots(self) -> None:
        """Bring the slots in line with the nodes and with what is left to do."""
        loss = self._remove_ended_slots()
        with self._lock:
            left = max(1, self._jobs_left)
        state = BoardState([], [], [])
        if len(self._shapes) > 1 or self._count_started().total() > left:  # else nothing of it is needed
            state = ray.get(self.board.read_state.remote())
        wanted = Counter({self._shapes[0]: left}) if len(self._shapes) == 1 else Counter(state.wanted)
        self._release_idle_slots(left, state)
        self._start_granted_slots()
        starting = self._shapes_starting(state)
        for shape in self._shapes:
            target = min(wanted[shape], count_slots(self._node_resources, shape))
            if starting - {shape}:
                # Workers of another shape are on their way to their resources, which no request must take from them.
                target = min(target, self._count_started()[shape])
            self._request_slots(shape, target)
        self._check_patience(wanted)
        if (started := self._count_started()) != self._announced:
            self._announced = started
            self._on_change(started, loss)

    def _remove_ended_slots(self) -> str | None:
        """Let the board queue the jobs of slots that have ended again; return why they ended, unless they were told to.

        Worker groups that end again and again before they take a job are fatal.
        """
        loss = None
        for slot in [slot for slot in self._slots if slot.has_ended]:
            served = ray.get(self.board.remove_slot.remote(slot.number, slot.lost_placement))
            failure = ray.get(self.board.pop_device_failure.remote(slot.number))
            placement = ray.get(self.board.pop_placement.remote(slot.number))
            with self._lock:
                self._slots.remove(slot)
            if slot.error is not None:
                if placement is not None:
                    remove_group_placement(placement)
                self._deaths.add_death(slot.number, time.monotonic())
                loss = slot.describe_loss()
            if failure is not None:
                loss = f"a GPU failed ({failure.reason})"
                self._count_device_failure(failure)
            if served or slot.error is None or slot.lost_placement:
                self._futile_groups = 0
                continue
            self._futile_groups += 1
            if self._futile_groups > MAX_FUTILE_GROUPS + len(self._staying_slots()):
                self.fatal_reason = f"worker groups cannot be kept up: {_last_line(slot.error)}"
        return loss

    def _count_device_failure(self, failure: DeviceFailure) -> None:
        """Leave the node out whose GPUs have failed again and again."""
        if self._device_failures.add_failure(failure):
            problem = f"its GPUs failed {MOST_FAILURES} times, the last time with: {failure.reason}"
            self._nodes.refuse_node(failure.node, problem)
            self._count_nodes()

    def _release_idle_slots(self, left: int, state: BoardState) -> None:
        """Let idle slots end that no job is left for, or whose resources another shape needs."""
        idle = [slot for slot in self._staying_slots() if slot.is_started and slot.number in state.idle]
        surplus = max(0, self._count_started().total() - left)
        leaving = idle[len(idle) - min(len(idle), surplus) :]
        requested = [slot.shape for slot in self._staying_slots() if not slot.is_started]
        if not leaving and requested and not any(slot.is_leaving for slot in self._slots):
            leaving = _slots_to_release([slot for slot in idle if slot.shape not in requested], requested)
        if leaving:
            # A slot that has taken a job meanwhile stays.
            released = ray.get(self.board.release_slots.remote([slot.number for slot in leaving]))
            for slot in leaving:
                slot.is_leaving = slot.number in released

    def _start_granted_slots(self) -> None:
        """Start the worker groups whose placements were granted."""
        granted = {slot: nodes for slot in self._staying_slots() if (nodes := slot.granted_nodes())}
        if not self._nodes.usable_ids.issuperset(chain(*granted.values())):
            self._count_nodes()  # one of the nodes has just come
        for slot, nodes in list(granted.items()):
            if not self._nodes.usable_ids.issuperset(nodes):
                self._withdraw_slot(slot)
                del granted[slot]
        shapes = {slot.shape for slot in granted}
        for slot in self._staying_slots():
            # Its request would take the resources in the moment in which they are given up for Ray Train.
            if granted and not slot.is_started and slot.shape not in shapes:
                self._withdraw_slot(slot)
        for slot, nodes in granted.items():
            slot.start_workers(nodes)

    def _shapes_starting(self, state: BoardState) -> set[ResourcesConfig]:
        """Return the shapes of slots whose workers are on their way."""
        staying = self._staying_slots()
        for slot in staying:
            slot.is_ready = slot.is_ready or slot.number in state.ready
        return {slot.shape for slot in staying if slot.is_started and not slot.is_ready}

    def _request_slots(self, shape: ResourcesConfig, target: int) -> None:
        """Request slots, or withdraw those that were not granted yet, until there are `target` of this shape."""
        staying = [slot for slot in self._staying_slots() if slot.shape == shape]
        requested = [slot for slot in staying if not slot.is_started]
        for slot in reversed(requested[: max(0, len(staying) - target)]):
            self._withdraw_slot(slot)
        for _ in range(target - len(staying)):
            with self._lock:
                self._slots.append(Slot(self._next_number, shape, self._settings, self._nodes.refused_ids))
            self._next_number += 1

    def _withdraw_slot(self, slot: Slot) -> None:
        slot.withdraw_request()
        with self._lock:
            self._slots.remove(slot)

    def _check_patience(self, wanted: Counter[ResourcesConfig]) -> None:
        """Say that it is fatal when no slot of a shape that is needed could be held for too long."""
        now = time.monotonic()
        held = {slot.shape for slot in self._slots if slot.is_started}
        for shape in self._shapes:
            if not wanted[shape] or shape in held or count_slots(self._node_resources, shape):
                self._last_held[shape] = now
            elif now - self._last_held[shape] > self._patience:
                try:
                    require_slots(self._node_resources, shape)
                except InputError as error:
                    self.fatal_reason = f"no slot can be held since {self._patience:g} s: {error}"

    def _staying_slots(self) -> list[Slot]:
        """Return the slots that are requested, start or are ready: those that have neither ended nor are leaving."""
        with self._lock:
            return [slot for slot in self._slots if not slot.is_leaving and not slot.has_ended]

    def _count_started(self) -> Counter[ResourcesConfig]:
        return Counter(slot.shape for slot in self._staying_slots() if slot.is_started)


def _slots_to_release(idle: Sequence[Slot], requested: Iterable[ResourcesConfig]) -> list[Slot]:
    """Return as many of the idle slots as must leave, that requested ones get their CPUs and GPUs.

    Only Ray knows on which nodes these lie. So it may take a second look, once they are gone, until all are granted.
    """
    free = ray.available_resources()
    cpus = sum(shape.workers * shape.cpus_per_worker for shape in requested) - free.get("CPU", 0.0)
    gpus = sum(shape.gpus for shape in requested) - free.get("GPU", 0.0)
    leaving: list[Slot] = []
    for slot in idle:
        if leaving and cpus <= ROUNDING and gpus <= ROUNDING:
            break
        leaving.append(slot)
        cpus -= slot.shape.workers * slot.shape.cpus_per_worker
        gpus -= slot.shape.gpus
    return leaving


def _last_line(error: Exception) -> str:
    """Return what an error says in the end, where Ray has the cause."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
