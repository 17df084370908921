"""What a run writes down of its trials as they go: each trial's folder, its MLflow run, its record in the study.

    start_trial         trials/ID/config.yaml        MLflow run begins         record: params, mlflow_run
    add_report                                       metrics of its step       record: examples, seconds, accuracy
    record_reason                                                              record: reason
        (the study is told that the trial has ended)
    end_trial           last/ goes, and best/        margins, MLflow run ends
                        unless it is COMPLETE

A driver may be killed between any two of these. All of them may be repeated: a resumed run starts an unfinished trial
again under the same id, and `end_earlier_trials` repeats the last line for trials that had ended.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from gazetune.config import Config, is_control
from gazetune.config.config_file import dump_config, load_config, write_config
from gazetune.config.keys import get_key
from gazetune.evaluate.margins import keep_validation_margins
from gazetune.report.wording import short_params
from gazetune.reward.data.prepared_data import is_prepared, prepare_data, prepared_facts
from gazetune.tracking.environment import ENVIRONMENT
from gazetune.tracking.mlflow_runs import BEST_METRIC, MARGINS_FOLDER, Tracker
from gazetune.trials.disk import drop_model
from gazetune.trials.messages import StudyRecord, TrainingReport, trial_id_of
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.run_folder import RunFolder
from gazetune.trials.trial_state import ended_state

ALWAYS_SHOWN = ("fusion.kind", "gaze.features")
"""Config keys whose values every trial's record has, whether or not the trials differ in them."""


class Ledger:
    """Writes down the trials of one run."""

    def __init__(self, folder: RunFolder, tracker: Tracker, parent_run: str, progress: ProgressDisplay) -> None:
        """`parent_run` is the id of the MLflow run below which each trial gets its own."""
        self._folder, self._tracker, self._parent_run, self._progress = folder, tracker, parent_run, progress

    def start_trial(self, trial: optuna.Trial, config: Config, params: Mapping[str, object]) -> None:
        """Write down a trial before it trains; `params` are the values, by dotted key, that make it differ."""
        trial_id = trial_id_of(trial.number)
        write_config(config, self._folder.trial_folder(trial_id) / "config.yaml")
        tree = config.model_dump(mode="json")
        shown = {**{key: get_key(tree, key) for key in ALWAYS_SHOWN}, **params}
        tags: dict[str, str] = {}
        if is_control(config.gaze.control):
            tags["gazetune.control"] = config.gaze.control
        # Where the data has vanished since it was prepared, the trial itself says so.
        if is_prepared(config, self._folder.cache):
            facts = prepared_facts(config, self._folder.cache)
            tags |= {**fingerprint_tags(facts.data_fingerprint, facts.gaze_fingerprint), **facts.count_tags()}
        label = short_params(shown)
        run = self._tracker.start_trial(self._parent_run, trial_id, shown, dump_config(config), tags, label)
        replace(StudyRecord.read(trial), params=shown, mlflow_run=run).write(trial)
        self._progress.show_start(trial_id, is_control(config.gaze.control))

    def add_report(self, trial: optuna.Trial, report: TrainingReport) -> None:
        """Write down one evaluation: its metrics to MLflow, how far the trial is to its record."""
        record = StudyRecord.read(trial)
        log_report(self._tracker, record.mlflow_run, report)
        replace(
            record,
            examples=report.examples,
            seconds=report.train_seconds,
            gpu_seconds=report.gpu_seconds,
            val_accuracy=report.val_accuracy,
        ).write(trial)
        self._progress.show_evaluation(trial_id_of(trial.number), report.examples, report.budget, report.val_accuracy)

    def record_reason(self, trial: optuna.Trial, reason: str | None) -> None:
        """Write down why a trial ends, before the study is told that it has; None of one that used its budget."""
        replace(StudyRecord.read(trial), ended=True, reason=reason).write(trial)

    def end_trial(self, trial: FrozenTrial) -> None:
        """Write down how a trial ended, once the study knows."""
        self._end_mlflow_run(trial)
        self._clear_folder(trial)
        record = StudyRecord.read(trial)
        self._progress.show_end(trial_id_of(trial.number), ended_state(trial), record.val_accuracy, record.reason)

    def end_earlier_trials(self, trials: Iterable[FrozenTrial]) -> None:
        """Bring MLflow and the folder in line with the trials that an earlier driver saw finished."""
        ended = self._tracker.list_ended_runs(self._parent_run)
        for trial in trials:
            # A run gets its margins before it ends, so one that has ended has all.
            if ended.get(StudyRecord.read(trial).mlflow_run) != ended_state(trial):
                self._end_mlflow_run(trial)
            self._clear_folder(trial)

    def _end_mlflow_run(self, trial: FrozenTrial) -> None:
        record = StudyRecord.read(trial)
        folder = self._folder.trial_folder(trial_id_of(trial.number))
        if (folder / "config.yaml").exists():
            config = load_config(folder / "config.yaml")
            log_validation_margins(self._tracker, record.mlflow_run, folder, config, self._folder.cache)
        if record.val_accuracy is not None:
            self._tracker.log_metrics(record.mlflow_run, {BEST_METRIC: record.val_accuracy}, record.examples)
        self._tracker.finish_run(record.mlflow_run, ended_state(trial), record.reason)

    def _clear_folder(self, trial: FrozenTrial) -> None:
        """Remove what a finished trial needs no more: only a COMPLETE one may keep its model."""
        folder = self._folder.trial_folder(trial_id_of(trial.number))
        for left in (folder / "last", *folder.glob(".last.*")):  # a killed save leaves the latter
            shutil.rmtree(left, ignore_errors=True)
        if ended_state(trial) != "COMPLETE":
            drop_model(folder)


def fingerprint_tags(data: str, gaze: str) -> dict[str, str]:
    """Return the tags of an MLflow run that name the pairs and the measures it is trained on.

    Examples
    --------
    >>> fingerprint_tags("3f2a", "91bc")
    {'gazetune.data_fingerprint': '3f2a', 'gazetune.gaze_fingerprint': '91bc'}
    """
    return {"gazetune.data_fingerprint": data, "gazetune.gaze_fingerprint": gaze}


def log_validation_margins(tracker: Tracker, run: str, folder: Path, config: Config, cache: Path) -> None:
    """Write the validation margins of the run in `folder`, and log them to its MLflow run; nothing where it has none.

    `cache` has the data that the run was trained on, by its config.
    """
    if not is_prepared(config, cache):  # it ended before it read any pairs
        return
    margins = keep_validation_margins(folder, prepare_data(config, cache))
    if margins is not None:
        tracker.log_file(run, margins, MARGINS_FOLDER)
    if (folder / ENVIRONMENT).exists():
        tracker.log_file(run, folder / ENVIRONMENT)


def log_report(tracker: Tracker, run: str, report: TrainingReport) -> None:
    """Log one evaluation's metrics at its step, and the loss of every step since the evaluation before."""
    first = report.step - len(report.train_losses) + 1
    tracker.log_series(run, "train/step_loss", report.train_losses, first)
    tracker.log_metrics(run, {**report.metrics, "examples": report.examples}, report.step)
