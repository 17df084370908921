"""Means by value of a recorded study, whose trials were stopped at different evaluations."""

from __future__ import annotations

import textwrap
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from scipy import stats

from gazetune.search.space.space_file import read_space
from gazetune.search.study.value_means import mean_by_value
from gazetune.trials.messages import StudyRecord

SPACE = """
    name: means
    base: {gaze: {predictor: planted}}
    space:
      optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-1]}
      fusion.kind: {choice: [none, add]}
      gaze.features: {subsets: [FFD, TRT], when: fusion.kind != none}
      gaze.control: {choice: [none, shuffled], when: fusion.kind != none}
    search: {trials: 8, scheduler: none}
"""
ENDED = [
    # learning rate, fusion, measures, control, values at 100, 200, ..., why it was stopped
    (2e-4, "none", None, "none", [0.50, 0.55, 0.60], None),
    (5e-2, "none", None, "none", [0.52], "stopped at 100 examples"),
    (2e-3, "add", ["FFD"], "none", [0.60, 0.70], "stopped at 200 examples: worse there than trial 0003"),
    (3e-3, "add", ["FFD", "TRT"], "none", [0.70, 0.80, 0.90], None),
    (3e-3, "add", ["TRT"], "shuffled", [0.99, 0.99, 0.99], None),
    (9e-2, "none", None, "none", [0.10, 0.10], "search.max_hours reached"),
]


def study_of(tmp_path: Path, ended: list[tuple], objective: str = "val/accuracy") -> tuple:
    path = tmp_path / "space.yaml"
    path.write_text(textwrap.dedent(SPACE).replace("scheduler: none", f"scheduler: none, objective: {objective}"))
    study = optuna.create_study(directions=["maximize"] * (1 + objective.count(",")))
    for rate, fusion, measures, control, values, reason in ended:
        params = {"optim.learning_rate": rate, "fusion.kind": fusion, "gaze.features": measures or ["FFD", "TRT"]}
        if fusion != "none":
            params["gaze.control"] = control
        record = StudyRecord(params, "run", 100 * len(values), val_accuracy=values[-1], ended=True, reason=reason)
        several = [values[-1]] * len(study.directions)
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if reason is None else TrialState.PRUNED,
                values=several if reason is None else None,
                user_attrs={"record": record.to_json()},
                intermediate_values={100 * number: value for number, value in enumerate(values, start=1)},
            )
        )
    return study, read_space(path)


def test_means_are_over_judged_trials_at_the_last_evaluation_that_all_had(tmp_path: Path) -> None:
    means = mean_by_value(*study_of(tmp_path, ENDED))
    assert means is not None and (means.objective, means.examples, means.trials) == ("val/accuracy", 100, 4)
    found = {(each.key, each.value): (each.trials, pytest.approx(each.mean)) for each in means.means}
    assert found == {
        ("optim.learning_rate", "0.0001 to 0.001"): (1, 0.50),
        ("optim.learning_rate", "0.001 to 0.01"): (2, 0.65),
        ("optim.learning_rate", "0.01 to 0.1"): (1, 0.52),
        ("fusion.kind", "none"): (2, 0.51),
        ("fusion.kind", "add"): (2, 0.65),
        ("gaze.features", "TRT"): (1, 0.70),
        ("gaze.features", "no TRT"): (1, 0.60),
    }
    (pair,) = [each for each in means.means if each.value == "add"]
    assert pair.ci95 == pytest.approx(stats.t.interval(0.95, 1, 0.65, 0.05))
    (single,) = [each for each in means.means if each.value == "no TRT"]
    assert single.ci95 is None


def test_without_trials_or_with_several_objectives_there_are_none(tmp_path: Path) -> None:
    assert mean_by_value(*study_of(tmp_path, [])) is None
    assert mean_by_value(*study_of(tmp_path, ENDED[5:])) is None, "a cap judges nothing"
    study, space = study_of(tmp_path, [], "[val/accuracy, train_seconds]")
    study.add_trial(create_trial(values=[0.6, 1.0], user_attrs={"record": StudyRecord().to_json()}))
    assert mean_by_value(study, space) is None
