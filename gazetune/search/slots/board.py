"""The board: an actor through which trials are handed to warm slots and their reports come back.

A trial's feeder asks `next` for reports; asking again means "go on", `cancel` means "stop". The slot that trains it
waits in `report` for that answer, so no step is trained that nobody wanted. A job whose slot lost its workers is handed
out again and goes on from its last checkpoint; losing them twice without a report in between ends it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

CLOSE = {"kind": "close"}
"""What `take` answers when the search is over."""

Spec = dict[str, Any]
"""A job: `id`, `kind` (`train` or `evaluate`) and what that kind needs."""


@dataclass
class _Job:
    spec: Spec
    attempts: int = 0
    """How often it was handed out since it last came further."""
    examples: int = -1
    """Training examples of the last report that was delivered."""
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

    async def take(self, slot: int, patience: float) -> Spec | None:
        """Return a job for the slot, `CLOSE`, or None when there was nothing to do for `patience` seconds."""
        lost = self._at.pop(slot, None)
        if lost is not None and not self._jobs[lost].ended:
            self._workers_lost(lost)
        if not self._waiting and not self._closed:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), patience)
            except TimeoutError:
                return None
        while self._waiting:
            job_id = self._waiting.popleft()
            if not self._jobs[job_id].ended:
                self._at[slot] = job_id
                self._jobs[job_id].attempts += 1
                return self._jobs[job_id].spec
        return CLOSE if self._closed else None

    async def report(self, job_id: str, message: dict[str, Any]) -> bool:
        """Deliver a report from a slot and wait for the answer; a report that was delivered before is not repeated."""
        job = self._jobs[job_id]
        if job.ended:
            return False
        if message["examples"] <= job.examples:
            return True
        job.examples, job.attempts = message["examples"], 1
        if message["done"]:
            self._end(job, message)
            return False
        job.answer = asyncio.get_running_loop().create_future()
        job.messages.put_nowait(message)
        return await job.answer

    async def finish(self, job_id: str, result: dict[str, Any]) -> None:
        """Deliver the result of an `evaluate` job."""
        self._end(self._jobs[job_id], result)

    async def fail(self, job_id: str, reason: str) -> None:
        """Deliver a failure: the job is not tried again."""
        self._end(self._jobs[job_id], {"failed": reason})

    async def fail_at(self, slot: int, reason: str) -> None:
        """Fail the job of a slot whose workers died of something that would kill them again."""
        if slot in self._at:
            self._end(self._jobs[self._at[slot]], {"failed": reason})

    async def slot_lost(self, slot: int, reason: str, slots_left: int) -> None:
        """Fail the job of a slot that will not come back, and every waiting job when it was the last slot."""
        lost = self._at.pop(slot, None)
        ids = [lost] if lost is not None else []
        if slots_left == 0:
            ids += self._waiting
            self._waiting.clear()
        for job_id in ids:
            if not self._jobs[job_id].ended:
                self._end(self._jobs[job_id], {"failed": reason})

    async def close(self) -> None:
        """Stop every job and tell the slots to end."""
        self._closed = True
        self._waiting.clear()
        for job in self._jobs.values():
            job.ended = True
            self._answer(job, False)
        self._wake.set()

    def _workers_lost(self, job_id: str) -> None:
        job = self._jobs[job_id]
        self._answer(job, False)
        if job.attempts < self.max_attempts:
            self._waiting.appendleft(job_id)
        else:
            self._end(job, {"failed": f"its workers died {job.attempts} times at the same place"})

    def _end(self, job: _Job, message: dict[str, Any]) -> None:
        if not job.ended:
            job.ended = True
            job.messages.put_nowait(message)

    @staticmethod
    def _answer(job: _Job, go_on: bool) -> None:
        if job.answer is not None and not job.answer.done():
            job.answer.set_result(go_on)
        job.answer = None
