"""What a study keeps of a trial has the format that searches begun by earlier versions have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import optuna
import pytest

from gazetune.trials.messages import StudyRecord

STARTED = {"examples": 0, "seconds": 0.0, "params": {"fusion.kind": "add"}, "mlflow_run": "3f2a"}
REPORTED = {**STARTED, "examples": 32, "seconds": 1.5, "gpu_seconds": 3.0, "val_accuracy": 0.75}


@pytest.mark.parametrize(
    "stored", [STARTED, REPORTED, {**REPORTED, "reason": None}, {**STARTED, "reason": "loss is nan at step 3"}]
)
def test_a_record_is_stored_as_it_was_read_in_the_same_order(stored: dict[str, Any]) -> None:
    trial = optuna.create_study().ask()
    trial.set_user_attr("record", stored)
    StudyRecord.read(trial).write(trial)
    assert list(trial.user_attrs["record"].items()) == list(stored.items())


def test_a_trial_that_was_proposed_and_not_started_has_an_empty_record() -> None:
    assert StudyRecord.read(optuna.create_study().ask()) == StudyRecord()


def test_a_record_of_a_version_without_gpu_seconds_is_read() -> None:
    record = StudyRecord.from_json({"examples": 9, "seconds": 36.0, "val_accuracy": 0.75, "reason": None})
    assert (record.gpu_seconds, record.ended, record.reason) == (None, True, None)
    assert "gpu_seconds" not in replace(record, reason="stopped by hand").to_json()
