"""Running jobs in slots from outside of Tune: one at a time, or as many at once as there are slots."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import ray
from ray.actor import ActorProxy

from gazetune.errors import RunError
from gazetune.trials.board import Board
from gazetune.trials.messages import (
    EvaluateJob,
    EvaluationResult,
    Job,
    JobFailure,
    JobMessage,
    TrainingReport,
    TrainJob,
)

POLL_SECONDS = 0.5
"""How often is asked whether to go on waiting."""

MOST_WATCHED = 300
"""Jobs whose messages are waited for at a time; the board takes at most 1,000 calls at once."""


class JobQueue:
    """Many jobs that are handed to all slots at once, and whose messages come in the order in which they are made.

    Asking for the next message lets the job of the last one go on.
    """

    def __init__(self, board: ActorProxy[Board], check_interrupted: Callable[[], None]) -> None:
        """`check_interrupted` raises what ends the waiting; it is called twice a second."""
        self._board, self._check_interrupted = board, check_interrupted
        self._waiting: deque[Job] = deque()
        self._coming: dict[ray.ObjectRef[JobMessage], Job] = {}
        self._last: tuple[Job, JobMessage] | None = None

    def submit(self, job: Job) -> None:
        """Add a job. An evaluation goes ahead of trainings that have not begun: it completes one that is done."""
        if isinstance(job, EvaluateJob):
            self._waiting.appendleft(job)
        else:
            self._waiting.append(job)

    def hand_out(self) -> None:
        """Give the jobs to the board that wait here; `next_message` does so too."""
        while self._waiting and (len(self._coming) < MOST_WATCHED or isinstance(self._waiting[0], EvaluateJob)):
            job = self._waiting.popleft()
            ray.get(self._board.submit_job.remote(job))  # an async actor may take two calls in another order
            self._coming[self._board.next_message.remote(job.id)] = job

    def cancel(self) -> None:
        """Take every job back that has not ended; one that trains stops at its next report."""
        self._waiting.clear()
        taken_back = [job.id for job in self._coming.values()]
        if self._last is not None:
            taken_back.append(self._last[0].id)
        self._coming, self._last = {}, None
        ray.get([self._board.cancel_job.remote(job_id) for job_id in taken_back])

    def next_message(self) -> tuple[Job, JobMessage] | None:
        """Wait for the next message of any job and return both; None once all jobs have ended."""
        if self._last is not None:
            job, message = self._last
            self._last = None
            if isinstance(message, TrainingReport) and not message.done:
                self._coming[self._board.next_message.remote(job.id)] = job
        self.hand_out()
        if not self._coming:
            return None
        while not (ready := ray.wait(list(self._coming), timeout=POLL_SECONDS)[0]):
            self._check_interrupted()
        self._check_interrupted()
        self._last = self._coming.pop(ready[0]), ray.get(ready[0])
        return self._last


def run_training(
    board: ActorProxy[Board],
    job: TrainJob,
    check_interrupted: Callable[[], None],
    on_report: Callable[[TrainingReport], None],
) -> TrainingReport:
    """Train a job in a slot to its full budget and return its last report.

    Parameters
    ----------
    board
        The board's actor.
    job
        The job.
    check_interrupted
        Raises what ends the waiting; it is called twice a second.
    on_report
        Gets every report, in order.

    Raises
    ------
    RunError
        When the job failed.
    """
    last: TrainingReport | None = None
    for message in _messages_of(board, job, check_interrupted):
        assert isinstance(message, TrainingReport)
        on_report(message)
        last = message
    assert last is not None and last.done, "a job ends with its last report or with a failure"
    return last


def run_evaluation(
    board: ActorProxy[Board], job: EvaluateJob, check_interrupted: Callable[[], None]
) -> EvaluationResult:
    """Run an evaluation in a slot and return its result; parameters and errors as `run_training`."""
    (result,) = _messages_of(board, job, check_interrupted)
    assert isinstance(result, EvaluationResult)
    return result


def _messages_of(
    board: ActorProxy[Board], job: Job, check_interrupted: Callable[[], None]
) -> Iterator[TrainingReport | EvaluationResult]:
    """Yield the messages of one job until it ends; raise when it failed."""
    queue = JobQueue(board, check_interrupted)
    queue.submit(job)
    while (told := queue.next_message()) is not None:
        message = told[1]
        if isinstance(message, JobFailure):
            raise RunError(f"{job.id}: {message.reason}")
        yield message
