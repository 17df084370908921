"""How a trial of a study ended, as everybody but Optuna's samplers is to see it.

A trial that cannot be trained (out of memory, a loss that is no number) FAILed. But Optuna's samplers learn nothing
from trials in its state FAIL, so they would propose the same again. To the study it is therefore a PRUNED trial that
breaks a constraint, which TPE keeps away from. Here it is turned back.
"""

from __future__ import annotations

from typing import cast

import optuna
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from gazetune.report.document import TrialRecord, TrialState
from gazetune.trials.messages import StudyRecord, trial_id_of

_CONSTRAINT = "cannot be trained"
"""Optuna's name of the constraint; it is broken where its value is above 0."""


def tell_failure(study: optuna.Study, trial: optuna.Trial, is_infeasible: bool) -> FrozenTrial:
    """Tell a study that a trial failed, and whether its config cannot be trained; return the trial as it ended."""
    if not is_infeasible:
        return study.tell(trial, state=OptunaState.FAIL)
    trial.set_constraint(_CONSTRAINT, 1.0)
    return study.tell(trial, state=OptunaState.PRUNED)


def is_infeasible(trial: FrozenTrial) -> bool:
    """Tell whether a trial of a study could not be trained, see `tell_failure`."""
    return trial.state == OptunaState.PRUNED and trial.constraints.get(_CONSTRAINT, 0.0) > 0


def ended_state(trial: FrozenTrial) -> TrialState:
    """Return how a finished trial ended: COMPLETE, PRUNED or FAIL."""
    if is_infeasible(trial):
        return "FAIL"
    return cast(TrialState, trial.state.name)  # Optuna's names are ours


def record_of_finished(trial: FrozenTrial, control: str) -> TrialRecord:
    """Return what a document says of a finished trial with this `gaze.control`."""
    record = StudyRecord.read(trial)
    return TrialRecord(
        id=trial_id_of(trial.number),
        state=ended_state(trial),
        params=record.params,
        examples=record.examples,
        val_accuracy=record.val_accuracy,
        seconds=record.seconds,
        mlflow_run=record.mlflow_run,
        reason=record.reason,
        control=control,
    )
