"""The warm slots of a search: as many as the cluster holds and jobs are left for, while both change."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray

from gazetune.cluster.slots import NodeResources, count_slots, require_slots
from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.search.slots.board import Board
from gazetune.search.slots.feeder import NAMESPACE
from gazetune.search.slots.slot import Slot, SlotSettings

LOOK_SECONDS = 0.5
"""How often the slots are looked after."""

NODE_SECONDS = 3.0
"""How often the nodes of the cluster are counted."""

BLAMED_SECONDS = 60.0
"""A node that is gone so soon after a slot's workers died took them with it. Ray hears of the workers at once, of the
node when it has missed some health checks."""

MOST_FUTILE = 3
"""Worker groups in a row that may end before they took a job, beyond one for each slot."""


class Slots:
    """The worker groups of one search, the thread that looks after them, and the board that feeds them.

    `verdict` says why no slot can be kept up any more; None as long as there are some, or some may come.
    """

    def __init__(
        self,
        config: Config,
        nodes: Callable[[], Sequence[NodeResources]],
        jobs: int,
        storage: Path,
        cache: Path,
        changed: Callable[[int, str | None], None],
    ) -> None:
        """Start as many slots as fit.

        Parameters
        ----------
        config
            Its `resources` are what one slot occupies; `search.node_patience` is how long there may be no node for any.
        nodes
            Asks for the nodes that the cluster has or may start.
        jobs
            How many are still to be done; `over` counts them down. One slot is kept for what follows.
        storage, cache
            As in `SlotSettings`.
        changed
            Hears how many slots have a place, whenever that is another number, and why if some were lost.
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
        self._settings = SlotSettings(board, config.resources, storage, cache)
        self._ask_nodes, self._patience, self._changed = nodes, config.search.node_patience, changed
        self._jobs, self._slots, self._begun, self._futile = jobs, list[Slot](), 0, 0
        self._told = 0
        self._nodes: Sequence[NodeResources] = ()
        self._alive: set[str] = set()
        self._died: list[tuple[int, float]] = []
        """Slots whose workers died, and when."""
        self._counted = self._held = time.monotonic()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._count_nodes()
        self._look()
        self._thread = threading.Thread(target=self._tend, name="slots", daemon=True)
        self._thread.start()

    def room(self, running: int) -> bool:
        """Tell whether there is a slot for one more trial than so many; one that has no place yet does not count."""
        return running < self._placed()

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
        self._nodes, self._counted = self._ask_nodes(), time.monotonic()
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if self._alive - alive:
            self._excuse()
        self._alive = alive

    def _excuse(self) -> None:
        """A node went away: what died just before is not held against the jobs."""
        for slot, when in self._died:
            if self._counted - when <= BLAMED_SECONDS:
                self.board.excuse.remote(slot)
        self._died.clear()

    def _look(self) -> None:
        """Bring the slots in line with the nodes and with what is left to do."""
        lost = self._bury()
        with self._lock:
            wanted = max(1, self._jobs)
        target = min(wanted, count_slots(self._nodes, self._settings.resources))
        self._ask_for_places(target)
        for slot in self._kept():
            slot.start_if_placed()
        self._release(wanted)
        self._judge()
        if (count := self._placed()) != self._told:
            self._told = count
            self._changed(count, lost)

    def _bury(self) -> str | None:
        """Hand back the jobs of slots that are no more; return why they are, unless they were told to end."""
        lost = None
        for slot in [slot for slot in self._slots if slot.ended]:
            served = ray.get(self.board.slot_ended.remote(slot.number, slot.place_lost))
            with self._lock:
                self._slots.remove(slot)
            if slot.error is not None:
                self._died.append((slot.number, time.monotonic()))
                lost = "a slot lost its place" if slot.place_lost else "workers of a slot died"
            if served or slot.error is None or slot.place_lost:
                self._futile = 0
                continue
            self._futile += 1
            if self._futile > MOST_FUTILE + len(self._kept()):
                self.verdict = f"worker groups cannot be kept up: {last_line(slot.error)}"
        return lost

    def _ask_for_places(self, target: int) -> None:
        """Ask for more places, or give up those that were not granted yet, until there are `target` slots."""
        kept = self._kept()
        for slot in reversed([slot for slot in kept if not slot.placed][: max(0, len(kept) - target)]):
            slot.give_up_place()
            with self._lock:
                self._slots.remove(slot)
        for _ in range(target - len(kept)):
            with self._lock:
                self._slots.append(Slot(self._begun, self._settings))
            self._begun += 1

    def _release(self, wanted: int) -> None:
        """Let idle slots end that nothing is left for."""
        if self._placed() > wanted:
            leaving = ray.get(self.board.release.remote(wanted))
            for slot in self._slots:
                slot.leaving = slot.leaving or slot.number in leaving

    def _judge(self) -> None:
        """Say that it is over when no slot could be held for too long."""
        now = time.monotonic()
        if any(slot.placed for slot in self._slots) or count_slots(self._nodes, self._settings.resources):
            self._held = now
        elif now - self._held > self._patience:
            try:
                require_slots(self._nodes, self._settings.resources)
            except InputError as error:
                self.verdict = f"no slot can be held since {self._patience:g} s: {error}"

    def _kept(self) -> list[Slot]:
        """Return the slots that stay: they are up, or start, or ask for their place."""
        with self._lock:
            return [slot for slot in self._slots if not slot.leaving and not slot.ended]

    def _placed(self) -> int:
        return sum(slot.placed for slot in self._kept())


def last_line(error: Exception) -> str:
    """Return what an error says in the end, where Ray has the cause."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
