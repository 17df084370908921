"""Jobs that are run from outside of Tune, with a real board in a real Ray; a thread of the test is the slot."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import ray
from ray.actor import ActorProxy

from gazetune.cluster.local_ray import start_local_ray
from gazetune.config import Config
from gazetune.errors import RunError
from gazetune.trials.board import Board
from gazetune.trials.jobs import JobQueue, run_evaluation, run_training
from gazetune.trials.messages import EvaluateJob, EvaluationResult, JobFailure, TrainingReport, TrainJob
from tests.unit.trials.messages import train_job, training_report


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    start_local_ray(num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def board(cluster: None) -> Iterator[ActorProxy[Board]]:
    made = ray.remote(Board).options(num_cpus=0, max_concurrency=100).remote()
    yield made
    ray.kill(made)


class SlotThread:
    """Takes so many jobs and works on them: a training reports twice, one whose id starts with `bad` fails."""

    def __init__(self, board: ActorProxy[Board], jobs: int) -> None:
        self.taken: list[str] = []
        self._board, self._jobs = board, jobs
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def join(self) -> Sequence[str]:
        self._thread.join(timeout=60)
        return self.taken

    def _work(self) -> None:
        while len(self.taken) < self._jobs:
            job = ray.get(self._board.take_job.remote(0, Config().resources, 5.0))
            if not isinstance(job, TrainJob | EvaluateJob):
                continue
            self.taken.append(job.id)
            if job.id.startswith("bad"):
                ray.get(self._board.fail_job.remote(job.id, 0, JobFailure("loss is nan")))
            elif isinstance(job, EvaluateJob):
                ray.get(self._board.deliver_result.remote(job.id, 0, EvaluationResult(np.ones((2, 2)))))
            elif ray.get(self._board.deliver_report.remote(job.id, 0, training_report(10))):
                ray.get(self._board.deliver_report.remote(job.id, 0, training_report(20, done=True)))


def go_on() -> None:
    """Nothing interrupts."""


def evaluation(job_id: str) -> EvaluateJob:
    return EvaluateJob(job_id, Config(), Path("unused"), "test")


def test_a_queue_gives_every_message_of_every_job_and_a_failure_loses_no_other(board: ActorProxy[Board]) -> None:
    queue, slot = JobQueue(board, go_on), SlotThread(board, 4)
    for job_id in ("a", "bad", "c"):
        queue.submit(train_job(job_id))
    got: list[tuple[str, object]] = []
    while (told := queue.next_message()) is not None:
        job, message = told
        got.append((job.id, getattr(message, "examples", getattr(message, "reason", "result"))))
        if job.id == "a" and isinstance(message, TrainingReport) and message.done:
            queue.submit(evaluation("test-a"))
    assert sorted(got) == [("a", 10), ("a", 20), ("bad", "loss is nan"), ("c", 10), ("c", 20), ("test-a", "result")]
    assert set(slot.join()) == {"a", "bad", "c", "test-a"}
    assert queue.next_message() is None


def test_an_evaluation_that_waits_here_goes_ahead_of_trainings_that_wait(
    board: ActorProxy[Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gazetune.trials.jobs.MOST_WATCHED", 0)  # trainings stay here, as those of a thousand would
    queue = JobQueue(board, go_on)
    queue.submit(train_job("a"))
    queue.submit(evaluation("test-b"))
    slot = SlotThread(board, 1)
    told = queue.next_message()
    assert told is not None and told[0].id == "test-b" and slot.join() == ["test-b"]


def test_a_queue_that_is_cancelled_takes_back_what_has_not_ended(board: ActorProxy[Board]) -> None:
    queue = JobQueue(board, go_on)
    for job_id in ("a", "b"):
        queue.submit(train_job(job_id))
    queue.hand_out()
    queue.cancel()
    assert queue.next_message() is None
    assert ray.get(board.take_job.remote(0, Config().resources, 0.1)) is None


def test_one_training_reports_to_the_end_and_one_that_fails_is_an_error_with_its_reason(
    board: ActorProxy[Board],
) -> None:
    SlotThread(board, 3)
    examples: list[int] = []
    last = run_training(board, train_job("a"), go_on, lambda report: examples.append(report.examples))
    assert examples == [10, 20] and last == training_report(20, done=True)
    with pytest.raises(RunError, match="bad: loss is nan"):
        run_training(board, train_job("bad"), go_on, lambda report: None)
    assert run_evaluation(board, evaluation("test-a"), go_on).rewards.shape == (2, 2)


def test_what_interrupts_ends_the_waiting(board: ActorProxy[Board]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(board, train_job("a"), interrupt, lambda report: None)
