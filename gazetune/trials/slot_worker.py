"""The worker's side of a warm slot: the loop that trains one job after another.

Each worker of one long-lived Ray Train group runs `run_worker_loop`. Its imports, process group and frozen backbone
outlive the jobs. Rank 0 alone talks to the board; the other ranks get its answers by broadcast::

    take_job --TrainJob, EvaluateJob--> train or evaluate --report, result, failure--> board, then take_job again
             --Close----------------> end

Nothing outside of a worker imports this file, as it imports all that trains models.
"""

from __future__ import annotations

import ray
import torch
from ray.actor import ActorProxy

from gazetune.config import Config
from gazetune.errors import GazetuneError, InputError
from gazetune.errors.redact import hide_secrets
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.tracking.environment import write_environment
from gazetune.train.checks import check_config
from gazetune.train.limits.device_capacity import read_device_capacity, refuse_excess
from gazetune.train.limits.device_errors import classify_device_error
from gazetune.train.limits.out_of_memory import OutOfMemory, is_out_of_memory, out_of_memory_message
from gazetune.train.limits.run_failures import InfeasibleConfig
from gazetune.train.loop import Training
from gazetune.train.processes.backbone_cache import BackboneCache
from gazetune.train.processes.device_memory import release_device_memory
from gazetune.train.processes.lost_worker import describe_lost_worker, translate_lost_workers
from gazetune.train.processes.worker_group import (
    Worker,
    join_worker_group,
)
from gazetune.train.progress import EvaluationReport
from gazetune.train.run_environment import describe_environment
from gazetune.train.scoring.evaluation import score_saved_model
from gazetune.trials.board import NAMESPACE, Board
from gazetune.trials.messages import (
    Close,
    DeviceFailure,
    EvaluateJob,
    EvaluationResult,
    Job,
    JobFailure,
    TrainingReport,
    TrainJob,
    WorkerSettings,
)

PATIENCE = 5.0
"""Seconds that rank 0 waits for a job before it lets the other ranks breathe: their broadcast must not time out."""


def run_worker_loop(settings: WorkerSettings) -> None:
    """Work on jobs from the board until it says close."""
    torch.set_num_threads(settings.threads)
    board = ray.get_actor(settings.board, namespace=NAMESPACE)
    with translate_lost_workers(settings.resources.worker_timeout):
        try:
            worker = join_worker_group(settings.resources.gpus_per_worker)
        except Exception as error:
            report_device_error(board, settings.slot, None, error)
            raise
        SlotWorker(board, worker, settings).run()


class SlotWorker:
    """One worker of a slot, with the process group and the backbone that it keeps between jobs."""

    def __init__(self, board: ActorProxy[Board], worker: Worker, settings: WorkerSettings) -> None:
        self._board, self._worker, self._settings = board, worker, settings
        self._backbones = BackboneCache(worker)

    def run(self) -> None:
        """Take jobs and run them until the board says close."""
        while True:
            taken = self._take_job()
            if isinstance(taken, Close):
                return
            if taken is not None:
                self._run_job(taken)
                release_device_memory(self._worker.device)

    def train(self, job: TrainJob) -> None:
        """Train a model, and report every evaluation; the board's answer says whether to go on.

        Raises
        ------
        InputError
            When the config cannot train, or the preference pairs are other ones than the search began with.
        InfeasibleConfig
            When the weights and states of a worker alone are larger than its device.
        """
        config = job.config
        check_config(config)
        refuse_excess(config, self._worker, read_device_capacity(self._worker.device))
        data = prepare_data(config, self._settings.cache)
        if data.facts.data_fingerprint not in job.data_fingerprints:
            raise InputError(f"{config.data.source}: the preference pairs have changed since the search began")
        backbone = self._backbones.take_backbone(config)
        training = Training(config, data, job.folder, self._worker, backbone, job.milestones)
        if self._worker.is_main:
            write_environment(job.folder, describe_environment(data, self._worker))

        def send_report(made: EvaluationReport) -> bool:
            report = make_report(made, config.resources.gpus)
            return ray.get(self._board.deliver_report.remote(job.id, self._settings.slot, report))

        try:
            training.run(send_report)
        finally:
            self._backbones.keep_backbone(config, training.close())

    def evaluate(self, job: EvaluateJob) -> None:
        """Score a split with the saved model of a run, and send the rewards."""
        data = prepare_data(job.config, self._settings.cache)
        split = getattr(data, job.split)
        backbone = self._backbones.take_backbone(job.config)
        rewards, model = score_saved_model(job.config, job.folder, backbone, split, self._worker)
        self._backbones.keep_backbone(job.config, model.release_backbone())
        if self._worker.is_main:
            ray.get(self._board.deliver_result.remote(job.id, self._settings.slot, EvaluationResult(rewards)))

    def _take_job(self) -> Job | Close | None:
        """Rank 0 asks the board; all ranks get the answer. None: there is no job now."""
        answer: Job | Close | None = None
        if self._worker.is_main:
            taking = self._board.take_job.remote(self._settings.slot, self._settings.resources, PATIENCE)
            answer = ray.get(taking)
        return self._worker.share_object(answer)

    def _run_job(self, job: Job) -> None:
        """Run a job. After some errors the process group is of no more use: these are raised and end the slot."""
        try:
            if isinstance(job, TrainJob):
                self.train(job)
            else:
                self.evaluate(job)
        except OutOfMemory as error:
            # Perhaps of this rank alone, in the middle of a step: the group has to end.
            self._fail_job(job.id, JobFailure(str(error), is_infeasible=True))
            raise
        except GazetuneError as error:
            # Every rank raised it at the same place: the group is whole and takes the next job.
            if self._worker.is_main:
                self._fail_job(job.id, JobFailure(str(error), isinstance(error, InfeasibleConfig)))
        except Exception as error:
            # Only this rank may have failed: it says why and lets the slot end. A rank that only lost another one, or
            # its GPU, does not fail the job, so that it is handed out again.
            failed = report_device_error(self._board, self._settings.slot, job.id, error)
            if not failed and describe_lost_worker(error, self._settings.resources.worker_timeout) is None:
                self._fail_job(job.id, describe_failure(error, job.config))
            raise

    def _fail_job(self, job_id: str, failure: JobFailure) -> None:
        ray.get(self._board.fail_job.remote(job_id, self._settings.slot, failure))


def make_report(made: EvaluationReport, gpus: float) -> TrainingReport:
    """Return the message about an evaluation of a run that has so many GPUs."""
    return TrainingReport(
        examples=made.examples,
        budget=made.budget,
        step=made.step,
        val_accuracy=made.best_accuracy,
        train_seconds=made.seconds,
        gpu_seconds=made.seconds * gpus,
        metrics=made.metrics,
        train_losses=tuple(made.train_losses),
        done=made.done,
    )


def report_device_error(board: ActorProxy[Board], slot: int, job_id: str | None, error: Exception) -> bool:
    """Tell the board where a GPU failed, if that is what the error says; return whether it does."""
    fault = classify_device_error(error)
    if fault is None:
        return False
    node = ray.get_runtime_context().get_node_id()
    failure = DeviceFailure(node, job_id, _first_line(error), is_certain=fault == "broken")
    ray.get(board.report_device_failure.remote(slot, failure))
    return True


def describe_failure(error: Exception, config: Config) -> JobFailure:
    """Return the message about a run that failed: a line that says why, with what helps where it ran out of memory."""
    if is_out_of_memory(error):  # before the first step, as the model was built
        return JobFailure(out_of_memory_message(config), is_infeasible=True)
    return JobFailure(_first_line(error))


def _first_line(error: Exception) -> str:
    text = hide_secrets(str(error)).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
