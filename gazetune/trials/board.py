"""The board: an actor through which trials are handed to warm slots and their reports come back.

A trial's feeder asks `next` for reports; asking again means "go on", `cancel` means "stop". The slot that trains it
waits in `report` for that answer, so no step is trained that nobody wanted. A job whose slot lost its workers is handed
out again and goes on from its last checkpoint; losing them twice without a report in between ends it, unless it was the
node that went away. Since that is found out later, such a job waits for `blame` or `excuse`.

Jobs may need different resources: a slot takes only those that need what it has.

A slot's number is never used again, so that what a lost slot still says, or still waits for, is known to be its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CLOSE = {"kind": "close"}
"""What `take` answers when the slot is to end."""

Spec = dict[str, Any]
"""A job: `id`, `kind` (`train` or `evaluate`), the run's `config`, and what that kind needs; handed out, also the
`slot` it is at."""

Shape = dict[str, Any]
"""The section `resources` of a config as JSON has it: what a job needs and a slot has."""


class State(NamedTuple):
    """A look at the board."""

    up: list[int]
    """Slots that have asked for work, and neither were let go nor are lost, by number."""
    idle: list[int]
    """Those of them that have none."""
    wanted: list[Shape]
    """What each job needs that has not ended."""


@dataclass
class _Job:
    spec: Spec
    attempts: int = 0
    """How often it was handed out since it last came further."""
    examples: int = -1
    """Training examples of the last report that was delivered."""
    heard: bool = True
    """Whether that report was answered: go on, or stop."""
    ended: bool = False
    messages: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    answer: asyncio.Future[bool] | None = None
    """Pending while a slot waits to hear whether it goes on."""


class Board:
    """State of all jobs. It lives in one asyncio actor, so its methods never run in parallel."""

    def __init__(self, max_attempts: int = 2) -> None:
        self.max_attempts = max_attempts
        self._jobs: dict[str, _Job] = {}
        self._waiting: deque[str] = deque()
        self._at: dict[int, str] = {}
        self._up: set[int] = set()
        """Slots that asked for work and neither were let go nor are lost."""
        self._over: set[int] = set()
        """Slots that were let go or lost: they get nothing more, whatever call of theirs is still under way."""
        self._served: set[int] = set()
        """Slots that were ever at a job."""
        self._lost: dict[int, tuple[str, int]] = {}
        """What slots that are lost were at, and how far it had come."""
        self._doubted: dict[int, str] = {}
        """Jobs that lost their workers for the last time, unless it was not their fault; by the slot that was lost."""
        self._wake = asyncio.Event()
        self._closed = False

    async def submit(self, spec: Spec) -> None:
        """Queue a job."""
        self._jobs[spec["id"]] = _Job(spec)
        self._waiting.append(spec["id"])
        self._wake.set()

    async def next(self, job_id: str) -> dict[str, Any]:
        """Let the job go on if it waits, and return its next message: a report, a result or a failure."""
        job = self._jobs[job_id]
        self._answer(job, True)
        return await job.messages.get()

    async def cancel(self, job_id: str) -> None:
        """Stop the job: at once if it waits for an answer or a slot, else at its next report."""
        job = self._jobs[job_id]
        job.ended = True
        self._answer(job, False)

    async def take(self, slot: int, shape: Shape, patience: float) -> Spec | None:
        """Return a job for the slot, `CLOSE`, or None when there was nothing to do for `patience` seconds."""
        if slot not in self._over:
            self._up.add(slot)
            self._hand_back(slot)
            await self.blame(slot)  # its node is there
        if self._next_for(shape) is None and not self._ends(slot):
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), patience)
            except TimeoutError:
                return None
        if self._ends(slot):
            return CLOSE
        job_id = self._next_for(shape)
        if job_id is None:
            return None
        self._waiting.remove(job_id)
        self._at[slot] = job_id
        self._served.add(slot)
        self._jobs[job_id].attempts += 1
        return {**self._jobs[job_id].spec, "slot": slot}

    async def report(self, job_id: str, slot: int, message: dict[str, Any]) -> bool:
        """Deliver a report from a slot and wait for the answer; a report that was delivered before is not repeated."""
        job = self._jobs[job_id]
        if job.ended or self._at.get(slot) != job_id:
            return False
        if message["examples"] <= job.examples:
            return True if job.heard else await self._wait_for_answer(job)
        job.examples, job.attempts = message["examples"], 1
        if message["done"]:
            self._end(job, message)
            return False
        job.messages.put_nowait(message)
        return await self._wait_for_answer(job)

    async def finish(self, job_id: str, slot: int, result: dict[str, Any]) -> None:
        """Deliver the result of an `evaluate` job."""
        if self._at.get(slot) == job_id:
            self._end(self._jobs[job_id], result)

    async def fail(self, job_id: str, slot: int, reason: str) -> None:
        """Deliver a failure: the job is not tried again."""
        if self._at.get(slot) == job_id:
            self._end(self._jobs[job_id], {"failed": reason})

    async def fail_at(self, slot: int, reason: str) -> None:
        """Fail the job of a slot whose workers died of something that would kill them again."""
        if slot in self._at:
            self._end(self._jobs[self._at[slot]], {"failed": reason})

    async def look(self) -> State:
        """Return which slots are idle and what the jobs need."""
        wanted = [_shape(job) for job in self._jobs.values() if not job.ended]
        return State(sorted(self._up), sorted(self._up - self._at.keys()), wanted)

    async def release(self, slots: Sequence[int]) -> list[int]:
        """Let those of the slots end that are idle still; return which."""
        leaving = [slot for slot in slots if slot in self._up - self._at.keys()]
        self._up.difference_update(leaving)
        self._over.update(leaving)
        self._wake.set()
        return leaving

    async def slot_ended(self, slot: int, place_lost: bool) -> bool:
        """Hand the job of a slot that is no more out again; return whether the slot ever had one.

        `place_lost`: its node went away. No trial is to blame for that, so it is not counted against the job.
        """
        if place_lost and slot in self._at:
            self._jobs[self._at[slot]].attempts -= 1
        elif slot in self._at:
            self._lost[slot] = (self._at[slot], self._jobs[self._at[slot]].examples)
        self._hand_back(slot)
        self._up.discard(slot)
        self._over.add(slot)
        self._wake.set()
        return slot in self._served

    async def excuse(self, slot: int) -> None:
        """Do not count the loss of a slot against its job any more: it was a node that went away, as is known now."""
        job_id, examples = self._lost.pop(slot, (None, 0))
        if job_id is None or self._jobs[job_id].examples != examples:
            return
        self._jobs[job_id].attempts -= 1
        if job_id in self._doubted.values():
            self._doubted = {at: other for at, other in self._doubted.items() if other != job_id}
            self._waiting.appendleft(job_id)
            self._wake.set()

    async def blame(self, slot: int) -> None:
        """Hold the loss of a slot against its job for good: no node went away."""
        self._lost.pop(slot, None)
        if slot in self._doubted:
            job = self._jobs[self._doubted.pop(slot)]
            self._end(job, {"failed": f"its workers died {job.attempts} times at the same place"})

    async def close(self) -> None:
        """Stop every job and tell the slots to end."""
        self._closed = True
        self._waiting.clear()
        for job in self._jobs.values():
            job.ended = True
            self._answer(job, False)
        self._wake.set()

    def _next_for(self, shape: Shape) -> str | None:
        """Return the first job that waits for a slot of this shape."""
        self._waiting = deque(job_id for job_id in self._waiting if not self._jobs[job_id].ended)
        return next((job_id for job_id in self._waiting if _shape(self._jobs[job_id]) == shape), None)

    def _ends(self, slot: int) -> bool:
        return self._closed or slot in self._over

    def _hand_back(self, slot: int) -> None:
        """Take the slot's last job off it. If that has not ended, the slot's workers died at it."""
        job_id = self._at.pop(slot, None)
        if job_id is None or self._jobs[job_id].ended:
            return
        job = self._jobs[job_id]
        if job.answer is not None and not job.answer.done():
            job.answer.set_result(False)  # nobody hears it, but the call must end
        job.answer = None
        if job.attempts < self.max_attempts:
            self._waiting.appendleft(job_id)
        else:
            self._doubted[slot] = job_id

    def _end(self, job: _Job, message: dict[str, Any]) -> None:
        if not job.ended:
            job.ended = True
            job.messages.put_nowait(message)

    async def _wait_for_answer(self, job: _Job) -> bool:
        job.heard = False
        job.answer = asyncio.get_running_loop().create_future()
        return await job.answer

    @staticmethod
    def _answer(job: _Job, go_on: bool) -> None:
        job.heard = True
        if job.answer is not None and not job.answer.done():
            job.answer.set_result(go_on)
        job.answer = None


def _shape(job: _Job) -> Shape:
    shape: Shape = job.spec["config"]["resources"]
    return shape
