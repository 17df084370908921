"""What a search writes down as it goes: each trial's folder, MLflow run and record in the study."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import optuna
from optuna.trial import FrozenTrial

from gazetune.config.config_file import dump_config, write_config
from gazetune.config.keys import get_key
from gazetune.report.document import TrialRecord, TrialState
from gazetune.reward.data.prepared_data import PreparedData, is_prepared, prepared_facts
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.own_trials import own_trials
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.trials.disk import drop_model
from gazetune.trials.messages import StudyRecord, TrainingReport, trial_id_of
from gazetune.trials.progress import ProgressDisplay

ALWAYS_SHOWN = ("fusion.kind", "gaze.features")
"""Parameters that every trial's record has, searched or not."""


class Ledger:
    """Writes are keyed by trial id and may be repeated."""

    def __init__(
        self,
        space: SearchSpace,
        folder: SearchFolder,
        tracker: Tracker,
        parent: str,
        progress: ProgressDisplay,
    ) -> None:
        self._space, self._folder, self._tracker, self._parent = space, folder, tracker, parent
        self._progress = progress

    def started(self, trial: optuna.Trial, trial_id: str, params: Mapping[str, Any]) -> None:
        """Note a trial before it trains: its folder with the resolved config, its MLflow run."""
        config = self._space.trial_config(params)
        write_config(config, self._folder.trial_folder(trial_id) / "config.yaml")
        tree = config.model_dump(mode="json")
        shown = {**{key: get_key(tree, key) for key in ALWAYS_SHOWN}, **params}
        tags = {}  # where the data has vanished since it was prepared, the trial itself says so
        if is_prepared(config, self._folder.cache):
            facts = prepared_facts(config, self._folder.cache)
            tags = fingerprint_tags(facts.data_fingerprint, facts.gaze_fingerprint)
        run = self._tracker.start_trial(self._parent, trial_id, shown, dump_config(config), tags)
        replace(StudyRecord.read(trial), params=shown, mlflow_run=run).write(trial)
        self._progress.show_start(trial_id)

    def reported(self, trial: optuna.Trial, trial_id: str, report: TrainingReport) -> None:
        """Note one evaluation: metrics to MLflow, how far the trial is to its record."""
        record = StudyRecord.read(trial)
        log_evaluation(self._tracker, record.mlflow_run, report)
        replace(
            record,
            examples=report.examples,
            seconds=report.train_seconds,
            gpu_seconds=report.gpu_seconds,
            val_accuracy=report.val_accuracy,
        ).write(trial)
        self._progress.show_evaluation(trial_id, report.examples, report.budget, report.val_accuracy)

    def ending(self, trial: optuna.Trial, reason: str | None) -> None:
        """Note why a trial ends, before the study is told that it has."""
        replace(StudyRecord.read(trial), ended=True, reason=reason).write(trial)

    def ended(self, trial: FrozenTrial, trial_id: str) -> None:
        """Note how a trial ended, once the study knows."""
        self._end_run(trial)
        self._clear(trial)
        record = StudyRecord.read(trial)
        self._progress.show_end(trial_id, trial.state.name, record.val_accuracy, record.reason)

    def settle(self, trials: Iterable[FrozenTrial]) -> None:
        """Bring MLflow and the folder in line with the trials that an earlier driver saw finished."""
        ended = self._tracker.list_ended_runs(self._parent)
        for trial in trials:
            # A run gets its margins before it ends, so one that has ended has all.
            if ended.get(StudyRecord.read(trial).mlflow_run) != _state(trial):
                self._end_run(trial)
            self._clear(trial)

    def _end_run(self, trial: FrozenTrial) -> None:
        record = StudyRecord.read(trial)
        margins = self._folder.trial_folder(trial_id_of(trial.number)) / "best" / "margins.npy"
        if margins.exists():
            self._tracker.log_file(record.mlflow_run, margins, "validation")
        self._tracker.finish_run(record.mlflow_run, _state(trial), record.reason)

    def _clear(self, trial: FrozenTrial) -> None:
        """Take away what a finished trial needs no more: only a COMPLETE one may keep its model."""
        folder = self._folder.trial_folder(trial_id_of(trial.number))
        shutil.rmtree(folder / "last", ignore_errors=True)
        if _state(trial) != "COMPLETE":
            drop_model(folder)


def fingerprint_tags(data: str, gaze: str) -> dict[str, str]:
    """Return the tags that name the pairs and the measures that a run is trained on."""
    return {"gazetune.data_fingerprint": data, "gazetune.gaze_fingerprint": gaze}


def told_once(fingerprints: Iterable[str]) -> str:
    """Return the fingerprints of all data sets of a search, each once."""
    return ", ".join(dict.fromkeys(fingerprints))


def bayes_facts(data: Sequence[PreparedData]) -> dict[str, str]:
    """Return the best accuracies that planted data allows, for the report; nothing for other data or several sets."""
    best = data[0].facts.bayes or {}
    if any(each.facts.bayes != data[0].facts.bayes for each in data):
        return {}
    return {f"Bayes accuracy, {seen}": f"{accuracy:.3f}" for seen, accuracy in best.items()}


def log_evaluation(tracker: Tracker, run: str, report: TrainingReport) -> None:
    """Log one evaluation's metrics at its step, and the loss of every step since the evaluation before."""
    first = report.step - len(report.train_losses) + 1
    tracker.log_series(run, "train/step_loss", report.train_losses, first)
    tracker.log_metrics(run, {**report.metrics, "examples": report.examples}, report.step)


def trial_records(study: optuna.Study) -> tuple[TrialRecord, ...]:
    """Return the record of each finished trial of a search, in order of number."""
    records = []
    for trial in own_trials(study):
        if trial.state.is_finished():
            record = StudyRecord.read(trial)
            records.append(
                TrialRecord(
                    id=trial_id_of(trial.number),
                    state=_state(trial),
                    params=record.params,
                    examples=record.examples,
                    val_accuracy=record.val_accuracy,
                    seconds=record.seconds,
                    mlflow_run=record.mlflow_run,
                    reason=record.reason,
                )
            )
    return tuple(records)


def _state(trial: FrozenTrial) -> TrialState:
    return cast(TrialState, trial.state.name)  # Optuna's names are ours
