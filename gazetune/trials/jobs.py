"""Running one job in a slot from outside of Tune: the comparison at the end of a search."""

from __future__ import annotations

from collections.abc import Callable

import ray
from ray.actor import ActorProxy

from gazetune.errors import RunError
from gazetune.trials.board import Board
from gazetune.trials.messages import EvaluateJob, EvaluationResult, Job, JobFailure, TrainingReport, TrainJob

POLL_SECONDS = 0.5
"""How often is asked whether to go on waiting."""


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
    ray.get(board.submit_job.remote(job))
    while True:
        report = _wait_for_message(board, job, check_interrupted)
        assert isinstance(report, TrainingReport)
        on_report(report)
        if report.done:
            return report


def run_evaluation(
    board: ActorProxy[Board], job: EvaluateJob, check_interrupted: Callable[[], None]
) -> EvaluationResult:
    """Run an evaluation in a slot and return its result; parameters and errors as `run_training`."""
    ray.get(board.submit_job.remote(job))
    result = _wait_for_message(board, job, check_interrupted)
    assert isinstance(result, EvaluationResult)
    return result


def _wait_for_message(
    board: ActorProxy[Board], job: Job, check_interrupted: Callable[[], None]
) -> TrainingReport | EvaluationResult:
    coming = board.next_message.remote(job.id)
    while not ray.wait([coming], timeout=POLL_SECONDS)[0]:
        check_interrupted()
    message = ray.get(coming)
    if isinstance(message, JobFailure):
        raise RunError(f"{job.id}: {message.reason}")
    return message
