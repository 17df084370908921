"""Trainings of a confirmation, run in all slots at once, and what is written down of each.

    submitted   config.yaml        its MLflow run begins
    trained     validation.parquet                          arms: the test split is scored next
    scored      test.parquet       test metrics
    ended       result.json        its MLflow run has ended, its checkpoint is gone

A run with `result.json` is not run again. One without it that was begun before goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gazetune.config.config_file import dump_config, write_config
from gazetune.config.keys import config_keys, get_key
from gazetune.errors import GazetuneError
from gazetune.evaluate.margins import Margins, margins_file, write_margins
from gazetune.files.atomic_write import write_atomically
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.search.active_search import ActiveSearch
from gazetune.search.confirmation.arms import describe_accuracy
from gazetune.search.confirmation.runs import ConfirmationRun
from gazetune.tracking.mlflow_runs import BEST_METRIC, MARGINS_FOLDER
from gazetune.trials.disk import drop_model
from gazetune.trials.jobs import JobQueue
from gazetune.trials.ledger import fingerprint_tags, log_report, log_validation_margins
from gazetune.trials.messages import EvaluateJob, EvaluationResult, Job, JobFailure, JobMessage, TrainingReport

_RESULT = "result.json"
_TEST = "test-"
"""How the id of the job begins that scores a run on test."""


@dataclass(frozen=True)
class RunResult:
    """How a training ended."""

    examples: int = 0
    val_accuracy: float = 0.0
    gpu_seconds: float = 0.0
    failure: str | None = None
    """Why it failed."""


class _CapReached(Exception):
    """The confirmation has used what the caps left for it."""


class ConfirmationRuns:
    """Runs trainings of a confirmation, in the folder `baselines` of the search."""

    def __init__(self, active: ActiveSearch) -> None:
        self._active = active
        self._runs: dict[str, ConfirmationRun] = {}
        self._mlflow: dict[str, str] = {}
        self._submitted: set[str] = set()
        self._trained: dict[str, RunResult] = {}
        """Runs that have used their budget, while they are scored."""
        self.results: dict[str, RunResult] = {}
        """By name, of the runs that have ended."""
        self.planned = 0
        """Runs in all, for the lines that count them."""

    def perform(self, runs: Sequence[ConfirmationRun], scores_test: bool) -> bool:
        """Run what has not ended yet; return whether all ended by themselves, and no cap was reached.

        With `scores_test` each model is scored on the test split and stays; else it goes when its margins are kept.
        """
        active = self._active
        left: list[ConfirmationRun] = []
        for run in runs:
            found = self._read_result(run)
            if found is None:
                left.append(run)
            else:
                self.results[run.name] = found
                active.caps.add_evaluation(run.name, found.gpu_seconds)
        if active.caps.is_used_up():
            return False
        active.slots.expect_jobs(len(left))
        queue = JobQueue(active.slots.board, self._check_caps)
        try:
            for run in left:
                if (job := self._start(run)) is not None:
                    queue.submit(job)
                    queue.hand_out()  # a slot begins with it while the next one is made
            while (told := queue.next_message()) is not None:
                for follow in self._take_message(*told, scores_test=scores_test):
                    queue.submit(follow)
        except _CapReached:
            queue.cancel()
            self._interrupt_runs()
            return False
        return True

    def _interrupt_runs(self) -> None:
        """End the MLflow runs of what a cap has ended; with a higher one they go on."""
        used_up = self._active.caps.used_up
        for name, run in self._mlflow.items():
            if name not in self.results:
                reason = None if used_up is None else used_up.reason
                self._active.prepared.tracker.finish_run(run, "INTERRUPTED", reason)

    def _check_caps(self) -> None:
        self._active.check_interrupted()
        self._active.caps.check_time()
        if self._active.caps.is_used_up():
            raise _CapReached

    def _read_result(self, run: ConfirmationRun) -> RunResult | None:
        try:
            return RunResult(**json.loads((self._folder(run) / _RESULT).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def _folder(self, run: ConfirmationRun) -> Path:
        return self._active.prepared.folder.baseline_folder(run.name)

    def _start(self, run: ConfirmationRun) -> Job | None:
        """Begin the MLflow run of a training and return its job; None where its data cannot be prepared."""
        prepared = self._active.prepared
        self._runs[run.name] = run
        try:
            facts = prepare_data(run.config, prepared.folder.cache).facts  # of a control: from the stored measures
        except GazetuneError as error:
            self._end(run, RunResult(failure=str(error)))
            return None
        write_config(run.config, self._folder(run) / "config.yaml")
        tree = run.config.model_dump(mode="json")
        searched = [axis.key for axis in prepared.space.axes if axis.key in config_keys()]  # others are groups of keys
        keys = dict.fromkeys(("fusion.kind", *searched, "gaze.control", "train.seed"))
        fold = run.config.train.fold
        params = {key: get_key(tree, key) for key in keys}
        params |= {} if fold is None else {"train.fold": f"{fold.number} of {fold.of}"}
        fingerprints = fingerprint_tags(facts.data_fingerprint, facts.gaze_fingerprint)
        tags = {"role": "confirmation", "gazetune.arm": run.role, **fingerprints, **facts.count_tags()}
        self._mlflow[run.name] = prepared.tracker.start_trial(
            self._active.parent_run, run.name, params, dump_config(run.config), tags
        )
        self._submitted.add(run.name)
        return prepared.train_job(run.name, run.config, self._folder(run))

    def _take_message(self, job: Job, message: JobMessage, scores_test: bool) -> Sequence[Job]:
        """Write down what came of a job, and return the job that follows it."""
        run = self._runs[job.id.removeprefix(_TEST)]
        if isinstance(message, JobFailure):
            self._end(run, RunResult(failure=message.reason))
        elif isinstance(message, EvaluationResult):
            # Not compared with anything: a mean over pairs without a number is none.
            if np.isnan(message.rewards).any():
                self._end(run, RunResult(failure="the saved model gives rewards on test that are no numbers"))
                return ()
            self._keep_test_margins(run, message)
            self._end(run, self._trained[run.name])
        else:
            tracker, mlflow_run = self._active.prepared.tracker, self._mlflow[run.name]
            log_report(tracker, mlflow_run, message)
            self._active.caps.add_evaluation(run.name, message.gpu_seconds)
            if message.done:
                return self._finish_training(run, message, scores_test)
        return ()

    def _finish_training(self, run: ConfirmationRun, last: TrainingReport, scores_test: bool) -> Sequence[Job]:
        prepared, folder = self._active.prepared, self._folder(run)
        mlflow_run = self._mlflow[run.name]
        log_validation_margins(prepared.tracker, mlflow_run, folder, run.config, prepared.folder.cache)
        prepared.tracker.log_metrics(mlflow_run, {BEST_METRIC: last.val_accuracy}, last.examples)
        result = RunResult(last.examples, last.val_accuracy, last.gpu_seconds)
        if not scores_test:
            drop_model(folder)
            self._end(run, result)
            return ()
        self._trained[run.name] = result
        return [EvaluateJob(f"{_TEST}{run.name}", run.config, folder / "best", "test")]

    def _keep_test_margins(self, run: ConfirmationRun, scored: EvaluationResult) -> None:
        prepared = self._active.prepared
        margins = Margins.of_split(prepare_data(run.config, prepared.folder.cache), "test", scored.rewards)
        file = margins_file(self._folder(run), "test")
        write_margins(file, margins)
        test, mlflow_run = describe_accuracy(margins.correctness), self._mlflow[run.name]
        prepared.tracker.log_test(mlflow_run, test.accuracy, test.n, test.ci95, self._trained[run.name].examples)
        prepared.tracker.log_file(mlflow_run, file, MARGINS_FOLDER)

    def _end(self, run: ConfirmationRun, result: RunResult) -> None:
        """Note that a run has ended: it is not run again."""
        prepared, folder = self._active.prepared, self._folder(run)
        if run.name in self._mlflow:
            prepared.tracker.finish_run(
                self._mlflow[run.name], "COMPLETE" if result.failure is None else "FAIL", result.failure
            )
        if run.name in self._submitted:
            self._active.slots.finish_job(run.name)
        if result.failure is not None:
            drop_model(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / _RESULT, json.dumps(asdict(result)))
        # After that: a kill in between leaves a checkpoint, and repeats no training.
        for left in (folder / "last", *folder.glob(".last.*")):
            shutil.rmtree(left, ignore_errors=True)
        self.results[run.name] = result
        told = f"FAIL ({result.failure})" if result.failure else f"validation accuracy {result.val_accuracy:.3f}"
        prepared.progress.print_line(f"confirmation {len(self.results)} of {self.planned}: {run.role} {told}")
