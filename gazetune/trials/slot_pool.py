"""The warm slots of a search: as many as the cluster holds and jobs are left for, while both change.

Where all trials need the same, slots stand ready for those to come. Where trials need different resources, which slot
the next one needs is known when it is proposed: a slot of its shape is asked for then, and idle slots of other shapes
make room for it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray

from gazetune.cluster.capacity import ROUNDING, NodeResources, all_trials_fit, count_slots, require_slots
from gazetune.cluster.node_watch import NodeSource
from gazetune.cluster.nodes import alive_nodes
from gazetune.config import ResourcesConfig
from gazetune.errors import InputError
from gazetune.trials.board import Board, State
from gazetune.trials.feeder import NAMESPACE
from gazetune.trials.slot import Slot, SlotSettings
from gazetune.trials.worker_deaths import Losses

LOOK_SECONDS = 0.5
"""How often the slots are looked after."""

NODE_SECONDS = 3.0
"""How often the nodes of the cluster are counted."""

MOST_FUTILE = 3
"""Worker groups in a row that may end before they took a job, beyond one for each slot."""


class Slots:
    """The worker groups of one search, the thread that looks after them, and the board that feeds them.

    `verdict` says why no slot can be kept up any more; None as long as there are some, or some may come.
    """

    def __init__(
        self,
        shapes: Sequence[ResourcesConfig],
        patience: float,
        nodes: NodeSource,
        jobs: int,
        storage: Path,
        cache: Path,
        changed: Callable[[Counter[ResourcesConfig], str | None], None],
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
            How many are still to be done; `over` counts them down. One slot is kept for what follows.
        storage, cache
            As in `SlotSettings`.
        changed
            Hears how many slots of each shape have a place, whenever that is another number, and why if some were lost.
        """
        board = f"board-{uuid4().hex[:12]}"
        # The driver's actors stay on the head: a spot node may take workers away, never the search itself.
        self.board: Any = (
            ray.remote(Board)
            .options(num_cpus=0, name=board, namespace=NAMESPACE, resources={"node:__internal_head__": 0.001})
            .remote()
        )
        self.board_name = board
        self.verdict: str | None = None
        self._settings = SlotSettings(board, storage, cache)
        self._shapes, self._patience, self._ask_nodes, self._changed = tuple(shapes), patience, nodes, changed
        self._jobs, self._slots, self._begun, self._futile = jobs, list[Slot](), 0, 0
        self._told = Counter[ResourcesConfig]()
        self._nodes: Sequence[NodeResources] = ()
        self._alive: set[str] = set()
        self._losses = Losses()
        self._counted = time.monotonic()
        self._held = dict.fromkeys(self._shapes, self._counted)
        """When a slot of each shape was last held, or could be, or was not needed."""
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._count_nodes()
        self._look()
        self._thread = threading.Thread(target=self._tend, name="slots", daemon=True)
        self._thread.start()

    def room(self, running: Sequence[ResourcesConfig]) -> bool:
        """Tell whether there is a slot for one more trial beside those that run; one without a place does not count.

        With several shapes it is enough that some trial would fit. One that does not fit yet is the next to run: no
        other is begun until it does, or small trials would never let a large one in.
        """
        if len(self._shapes) == 1:
            return len(running) < self._placed().total()
        return any(all_trials_fit(self._nodes, [*running, shape]) for shape in self._shapes)

    def over(self, job_id: str) -> None:
        """Take a job that ended off the board: one less is left."""
        with self._lock:
            self._jobs -= 1
        self.board.cancel.remote(job_id)

    def keep_one(self) -> None:
        """Let all slots but one end: what follows is one job after another."""
        with self._lock:
            self._jobs = 0

    def close(self, timeout: float) -> None:
        """Let every slot end and wait for it, so that its CPUs are free again."""
        self._closing.set()
        self._thread.join(timeout)
        with self._lock:
            slots = list(self._slots)
        for slot in slots:
            slot.give_up_place()
        with contextlib.suppress(ray.exceptions.RayError):  # it may have died before
            ray.get(self.board.close.remote(), timeout=timeout)
        until = time.monotonic() + timeout
        for slot in slots:
            slot.wait(max(0.0, until - time.monotonic()))
        ray.kill(self.board)

    def _tend(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                if time.monotonic() - self._counted >= NODE_SECONDS:
                    self._count_nodes()
                self._look()
            except Exception as error:
                # A thread has nobody to raise to, and a search without slots would wait without an end.
                self.verdict = f"the slots cannot be looked after any more: {last_line(error)}"
                return

    def _count_nodes(self) -> None:
        self._nodes, self._counted = self._ask_nodes.list_nodes(), time.monotonic()
        alive = set(alive_nodes())
        # Workers that died are held against their jobs only when no node went away soon after.
        for slot in self._losses.excused(node_lost=bool(self._alive - alive)):
            self.board.excuse.remote(slot)
        for slot in self._losses.blamed(self._counted):
            self.board.blame.remote(slot)
        self._alive = alive

    def _look(self) -> None:
        """Bring the slots in line with the nodes and with what is left to do."""
        lost = self._bury()
        with self._lock:
            left = max(1, self._jobs)
        state = State([], [], [])
        if len(self._shapes) > 1 or self._placed().total() > left:
            state = ray.get(self.board.look.remote())
        wanted = self._wanted(left, state)
        self._release(left, state)
        self._start_granted()
        starting = self._starting(state)
        for shape in self._shapes:
            target = min(wanted[shape], count_slots(self._nodes, shape))
            self._ask_for_places(shape, min(target, self._placed()[shape]) if starting - {shape} else target)
        self._judge(wanted)
        if (placed := self._placed()) != self._told:
            self._told = placed
            self._changed(placed, lost)

    def _start_granted(self) -> None:
        """Start the worker groups whose places are there."""
        granted = {slot: nodes for slot in self._kept() if (nodes := slot.granted())}
        if not self._ask_nodes.usable_ids.issuperset(chain(*granted.values())):
            self._count_nodes()  # one of them has just come
        for slot, nodes in list(granted.items()):
            if not self._ask_nodes.usable_ids.issuperset(nodes):
                self._withdraw(slot)
                del granted[slot]
        shapes = {slot.shape for slot in granted}
        for slot in self._kept():
            # It would take a place in the moment in which that is given up for Ray Train.
            if granted and not slot.placed and slot.shape not in shapes:
                self._withdraw(slot)
        for slot, nodes in granted.items():
            slot.start(nodes)

    def _withdraw(self, slot: Slot) -> None:
        slot.give_up_place()
        with self._lock:
            self._slots.remove(slot)

    def _starting(self, state: State) -> set[ResourcesConfig]:
        """Return the shapes of slots whose workers are on their way."""
        kept = self._kept()
        for slot in kept:
            slot.up = slot.up or slot.number in state.up
        return {slot.shape for slot in kept if slot.placed and not slot.up}

    def _wanted(self, left: int, state: State) -> Counter[ResourcesConfig]:
        """Return how many slots of each shape there is work for."""
        if len(self._shapes) == 1:
            return Counter({self._shapes[0]: left})
        return Counter(ResourcesConfig(**shape) for shape in state.wanted)

    def _bury(self) -> str | None:
        """Hand back the jobs of slots that are no more; return why they are, unless they were told to end."""
        lost = None
        for slot in [slot for slot in self._slots if slot.ended]:
            served = ray.get(self.board.slot_ended.remote(slot.number, slot.place_lost))
            with self._lock:
                self._slots.remove(slot)
            if slot.error is not None:
                self._losses.add(slot.number, time.monotonic())
                lost = "a slot lost its place" if slot.place_lost else "workers of a slot died"
            if served or slot.error is None or slot.place_lost:
                self._futile = 0
                continue
            self._futile += 1
            if self._futile > MOST_FUTILE + len(self._kept()):
                self.verdict = f"worker groups cannot be kept up: {last_line(slot.error)}"
        return lost

    def _ask_for_places(self, shape: ResourcesConfig, target: int) -> None:
        """Ask for more places, or give up those that were not granted yet, until there are `target` slots."""
        kept = [slot for slot in self._kept() if slot.shape == shape]
        for slot in reversed([slot for slot in kept if not slot.placed][: max(0, len(kept) - target)]):
            self._withdraw(slot)
        for _ in range(target - len(kept)):
            with self._lock:
                self._slots.append(Slot(self._begun, shape, self._settings, self._ask_nodes.refused_ids))
            self._begun += 1

    def _release(self, left: int, state: State) -> None:
        """Let idle slots end that nothing is left for, or whose place another shape needs."""
        idle = [slot for slot in self._kept() if slot.placed and slot.number in state.idle]
        leaving = idle[len(idle) - min(len(idle), max(0, self._placed().total() - left)) :]
        pending = [slot.shape for slot in self._kept() if not slot.placed]
        if not leaving and pending and not any(slot.leaving for slot in self._slots):
            leaving = _in_the_way([slot for slot in idle if slot.shape not in pending], pending)
        if leaving:
            told = ray.get(self.board.release.remote([slot.number for slot in leaving]))
            for slot in leaving:
                slot.leaving = slot.number in told

    def _judge(self, wanted: Counter[ResourcesConfig]) -> None:
        """Say that it is over when a slot that is needed could not be held for too long."""
        now = time.monotonic()
        held = {slot.shape for slot in self._slots if slot.placed}
        for shape in self._shapes:
            if not wanted[shape] or shape in held or count_slots(self._nodes, shape):
                self._held[shape] = now
            elif now - self._held[shape] > self._patience:
                try:
                    require_slots(self._nodes, shape)
                except InputError as error:
                    self.verdict = f"no slot can be held since {self._patience:g} s: {error}"

    def _kept(self) -> list[Slot]:
        """Return the slots that stay: they are up, or start, or ask for their place."""
        with self._lock:
            return [slot for slot in self._slots if not slot.leaving and not slot.ended]

    def _placed(self) -> Counter[ResourcesConfig]:
        return Counter(slot.shape for slot in self._kept() if slot.placed)


def _in_the_way(idle: Sequence[Slot], pending: Iterable[ResourcesConfig]) -> list[Slot]:
    """Return as many of the idle slots as leave the room that pending places need; Ray knows the nodes they lie on.

    So it may take a second look, once these are gone, until the places are granted.
    """
    free = ray.available_resources()
    cpus = sum(shape.workers * shape.cpus_per_worker for shape in pending) - free.get("CPU", 0.0)
    gpus = sum(shape.gpus for shape in pending) - free.get("GPU", 0.0)
    leaving: list[Slot] = []
    for slot in idle:
        if leaving and cpus <= ROUNDING and gpus <= ROUNDING:
            break
        leaving.append(slot)
        cpus -= slot.shape.workers * slot.shape.cpus_per_worker
        gpus -= slot.shape.gpus
    return leaving


def last_line(error: Exception) -> str:
    """Return what an error says in the end, where Ray has the cause."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
