"""The board: an actor through which jobs are handed to warm slots and their reports come back.

A training job's driver asks `next_message` for its reports. Asking for the next one means "go on"; `cancel_job` means
"stop". The slot that trains the job waits in `deliver_report` for that answer. So no step is trained that nobody wants.

The states of a job::

    submit_job --> QUEUED --take_job--> RUNNING --deliver_report--> REPORTED
                    ^  ^                 |  |  ^                       |
                    |  |                 |  |  +----- next_message ----+
                    |  +-- slot is lost -+  |
                    |                       | slot is lost again, without a report in between
                    |                       v
                    +-- a node was lost - SUSPENDED --no node was lost--> ENDED (it fails)

    REPORTED --slot is lost--> as from RUNNING
    any state --cancel_job, close--> ENDED
    RUNNING --last report, result, failure--> ENDED

A slot is lost when its worker processes died. Its job is queued again and goes on from its last checkpoint. A job that
loses its workers twice at the same place would lose them a third time, so it fails. That does not hold where their node
went away, which is not the job's fault. Ray tells of a lost node some seconds later than of lost workers. Such a job is
therefore suspended until `attribute_to_node_loss` or `confirm_worker_failure` says which of the two it was.
A slot whose GPU failed is lost, too. Where the hardware is at fault beyond doubt, that is not counted against the job.

Jobs may need different resources: a slot takes only those that need exactly what it has.

The number of a slot is never used again. A call that a lost slot still makes, or still waits for, is known by it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import ray

from gazetune.config import ResourcesConfig
from gazetune.trials.messages import (
    Close,
    DeviceFailure,
    EvaluateJob,
    EvaluationResult,
    Job,
    JobFailure,
    JobMessage,
    TrainingReport,
)

NAMESPACE = "gazetune"
"""Of Ray, in which the board's actor has its name."""


class BoardState(NamedTuple):
    """Slots and jobs at one moment."""

    ready: list[int]
    """Numbers of the slots that have asked for work, and were neither released nor lost."""
    idle: list[int]
    """Those of them that have no job."""
    wanted: list[ResourcesConfig]
    """What each job needs that has not ended."""


@dataclass
class _JobState:
    job: Job
    attempts: int = 0
    """How often it was handed out since it last came further."""
    examples: int = -1
    """Training examples of the last report that was delivered."""
    device_error: str = ""
    """What a GPU said that failed under it last."""
    answered: bool = True
    """Whether that report has its answer: go on, or stop."""
    ended: bool = False
    messages: asyncio.Queue[JobMessage] = field(default_factory=asyncio.Queue)
    pending_answer: asyncio.Future[bool] | None = None
    """Pending while a slot waits to be told whether it goes on."""


class _Loss(NamedTuple):
    """What a lost slot was at."""

    job_id: str
    examples: int
    """How far the job had come."""


class Board:
    """The state of all jobs. It lives in one asyncio actor, so its methods never run in parallel.

    `ray.method` gives the methods types for callers in other processes; it changes nothing else.
    """

    def __init__(self, max_attempts: int = 2) -> None:
        self.max_attempts = max_attempts
        self._jobs: dict[str, _JobState] = {}
        self._queue: deque[str] = deque()
        self._job_at: dict[int, str] = {}
        """The job that each busy slot has."""
        self._ready: set[int] = set()
        """Slots that asked for work and were neither released nor lost."""
        self._dismissed: set[int] = set()
        """Slots that were released or lost. They get nothing more, whatever call of theirs is still under way."""
        self._served: set[int] = set()
        """Slots that ever had a job."""
        self._losses: dict[int, _Loss] = {}
        """Lost slots, while it is not known whether their node went away."""
        self._suspended: dict[int, str] = {}
        """Jobs that fail unless a node was lost, by the slot whose loss was the last one they may have."""
        self._device_failures: dict[int, DeviceFailure] = {}
        """Slots whose GPU has failed, until they are removed."""
        self._placements: dict[int, str] = {}
        """The placement group of each slot whose workers were started, until the slot is removed."""
        self._changed = asyncio.Event()
        """Set when a slot that waits for a job should look again."""
        self._closed = False

    # What a driver calls.

    @ray.method
    async def submit_job(self, job: Job) -> None:
        """Queue a job; an evaluation goes ahead of trainings, since somebody waits for it with one that is done."""
        self._jobs[job.id] = _JobState(job)
        if isinstance(job, EvaluateJob):
            self._queue.appendleft(job.id)
        else:
            self._queue.append(job.id)
        self._changed.set()

    @ray.method
    async def next_message(self, job_id: str) -> JobMessage:
        """Let the job go on if it waits for an answer, and return its next message."""
        state = self._jobs[job_id]
        _answer_report(state, go_on=True)
        return await state.messages.get()

    @ray.method
    async def cancel_job(self, job_id: str) -> None:
        """Stop the job: at once if it waits for an answer or for a slot, else at its next report."""
        state = self._jobs[job_id]
        state.ended = True
        _answer_report(state, go_on=False)

    # What a slot's workers call.

    @ray.method
    async def take_job(self, slot: int, resources: ResourcesConfig, patience: float) -> Job | Close | None:
        """Return a job for a slot that has these resources, or None when there was none for `patience` seconds.

        A slot that asks has finished its last job, or its workers were started again in the middle of it. Then the job
        is queued again.
        """
        if slot not in self._dismissed:
            self._ready.add(slot)
            self._take_back_job(slot)
            self._confirm_failure(slot)  # the slot lives on, so its node is there
        if self._first_queued(resources) is None and not self._must_close(slot):
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), patience)
            except TimeoutError:
                return None
        if self._must_close(slot):
            return Close()
        job_id = self._first_queued(resources)
        if job_id is None:
            return None  # another slot was faster, or the new job needs other resources: the slot asks again
        self._queue.remove(job_id)
        self._job_at[slot] = job_id
        self._served.add(slot)
        self._jobs[job_id].attempts += 1
        return self._jobs[job_id].job

    @ray.method
    async def deliver_report(self, job_id: str, slot: int, report: TrainingReport) -> bool:
        """Pass a report on and wait for the answer: whether the job goes on.

        A job that was resumed from a checkpoint repeats its last report. If that was delivered before, it is not passed
        on again; if it was answered too, the job goes on at once.
        """
        state = self._jobs[job_id]
        if state.ended or self._job_at.get(slot) != job_id:
            return False
        if report.examples <= state.examples:
            return True if state.answered else await _wait_for_answer(state)
        # The job came further. Workers that died before this report are not held against it any more.
        state.examples, state.attempts = report.examples, 1
        if report.done:
            _end_job(state, report)
            return False
        state.messages.put_nowait(report)
        return await _wait_for_answer(state)

    @ray.method
    async def deliver_result(self, job_id: str, slot: int, result: EvaluationResult) -> None:
        """Pass the result of an `EvaluateJob` on."""
        if self._job_at.get(slot) == job_id:
            _end_job(self._jobs[job_id], result)

    @ray.method
    async def fail_job(self, job_id: str, slot: int, failure: JobFailure) -> None:
        """Pass a failure on: the job is not tried again."""
        if self._job_at.get(slot) == job_id:
            _end_job(self._jobs[job_id], failure)

    @ray.method
    async def report_device_failure(self, slot: int, failure: DeviceFailure) -> None:
        """Note that a GPU of the slot has failed, before the slot ends for it; the first worker to say so counts."""
        self._device_failures.setdefault(slot, failure)
        if failure.job is not None:
            self._jobs[failure.job].device_error = failure.reason

    @ray.method
    async def note_placement(self, slot: int, placement: str) -> None:
        """Note the id, in hex, of the placement group that the workers of a slot were started in."""
        self._placements[slot] = placement

    # What the slots' keeper calls, on the driver's side.

    @ray.method
    async def fail_job_at(self, slot: int, failure: JobFailure) -> None:
        """Fail the job of a slot whose workers died of something that would kill them again."""
        if slot in self._job_at:
            _end_job(self._jobs[self._job_at[slot]], failure)

    @ray.method
    async def read_state(self) -> BoardState:
        """Return which slots are idle and what the jobs need."""
        wanted = [state.job.resources for state in self._jobs.values() if not state.ended]
        return BoardState(sorted(self._ready), sorted(self._ready - self._job_at.keys()), wanted)

    @ray.method
    async def release_slots(self, slots: Sequence[int]) -> list[int]:
        """Let those of the slots end that are still idle; return which."""
        released = [slot for slot in slots if slot in self._ready - self._job_at.keys()]
        self._ready.difference_update(released)
        self._dismissed.update(released)
        self._changed.set()
        return released

    @ray.method
    async def remove_slot(self, slot: int, placement_lost: bool) -> bool:
        """Queue the job of a slot that has ended again; return whether the slot ever had a job.

        `placement_lost`: its node went away, as is known already. That is not counted against the job.
        """
        failure = self._device_failures.get(slot)
        if failure is not None and failure.is_certain:
            placement_lost = True
        if slot in self._job_at:
            state = self._jobs[self._job_at[slot]]
            if placement_lost:
                state.attempts -= 1
            else:
                self._losses[slot] = _Loss(state.job.id, state.examples)
        self._take_back_job(slot)
        self._ready.discard(slot)
        self._dismissed.add(slot)
        self._changed.set()
        return slot in self._served

    @ray.method
    async def pop_device_failure(self, slot: int) -> DeviceFailure | None:
        """Return the failure of a GPU for which a slot has ended."""
        return self._device_failures.pop(slot, None)

    @ray.method
    async def pop_placement(self, slot: int) -> str | None:
        """Return the placement group that a slot had, which has ended; None where no worker of it was started."""
        return self._placements.pop(slot, None)

    @ray.method
    async def attribute_to_node_loss(self, slot: int) -> None:
        """Do not count the loss of a slot against its job: its node went away, as is known now."""
        loss = self._losses.pop(slot, None)
        if loss is None or self._jobs[loss.job_id].examples != loss.examples:
            return  # nothing is counted any more, as the job came further since
        self._jobs[loss.job_id].attempts -= 1
        if loss.job_id in self._suspended.values():
            self._suspended = {at: job_id for at, job_id in self._suspended.items() if job_id != loss.job_id}
            self._queue.appendleft(loss.job_id)
            self._changed.set()

    @ray.method
    async def confirm_worker_failure(self, slot: int) -> None:
        """Count the loss of a slot against its job for good: no node went away."""
        self._confirm_failure(slot)

    @ray.method
    async def close(self) -> None:
        """Stop every job and tell the slots to end."""
        self._closed = True
        self._queue.clear()
        for state in self._jobs.values():
            state.ended = True
            _answer_report(state, go_on=False)
        self._changed.set()

    def _first_queued(self, resources: ResourcesConfig) -> str | None:
        """Return the first queued job that needs these resources."""
        self._queue = deque(job_id for job_id in self._queue if not self._jobs[job_id].ended)
        return next((job_id for job_id in self._queue if self._jobs[job_id].job.resources == resources), None)

    def _must_close(self, slot: int) -> bool:
        return self._closed or slot in self._dismissed

    def _take_back_job(self, slot: int) -> None:
        """Take the slot's last job off it. If that has not ended, the slot's workers died at it."""
        job_id = self._job_at.pop(slot, None)
        if job_id is None or self._jobs[job_id].ended:
            return
        state = self._jobs[job_id]
        if state.pending_answer is not None and not state.pending_answer.done():
            state.pending_answer.set_result(False)  # nobody listens any more, but the call must end
        state.pending_answer = None
        if state.attempts < self.max_attempts:
            self._queue.appendleft(job_id)
        else:
            self._suspended[slot] = job_id

    def _confirm_failure(self, slot: int) -> None:
        self._losses.pop(slot, None)
        if slot in self._suspended:
            state = self._jobs[self._suspended.pop(slot)]
            last = f", the last time of: {state.device_error}" if state.device_error else ""
            _end_job(state, JobFailure(f"its workers died {state.attempts} times at the same place{last}"))


def _end_job(state: _JobState, message: JobMessage) -> None:
    """End a job with its last message, unless it has ended."""
    if not state.ended:
        state.ended = True
        state.messages.put_nowait(message)


async def _wait_for_answer(state: _JobState) -> bool:
    state.answered = False
    state.pending_answer = asyncio.get_running_loop().create_future()
    return await state.pending_answer


def _answer_report(state: _JobState, go_on: bool) -> None:
    """Tell the slot that waits with a report whether the job goes on."""
    state.answered = True
    if state.pending_answer is not None and not state.pending_answer.done():
        state.pending_answer.set_result(go_on)
    state.pending_answer = None
