from __future__ import annotations

from gazetune.trials.objective import Objective
from tests.unit.trials.messages import training_report


def test_an_objective_is_reported_as_it_was_measured_and_turned_so_that_more_is_better() -> None:
    report = training_report(10, metrics={"val/accuracy": 0.7, "val/loss": 0.4}, gpu_seconds=96.0)
    loss, accuracy = Objective("val/loss", "minimize"), Objective("val/accuracy", "maximize")
    assert (loss.value(report), loss.oriented(loss.value(report))) == (0.4, -0.4)
    assert (accuracy.value(report), accuracy.oriented(accuracy.value(report))) == (0.7, 0.7)
    assert Objective("gpu_seconds", "minimize").value(report) == 96.0
