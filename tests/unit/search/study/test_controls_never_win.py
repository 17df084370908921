"""A recorded study in which controls did best: none of them is chosen anywhere, and they stay in the study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from gazetune.models.resolve import resolve_saved_model
from gazetune.report.document import BestRecord, SearchDocument
from gazetune.search.baselines import best_of_controls, best_trial, best_trial_without_gaze
from gazetune.search.early_checks import check_search
from gazetune.search.folder import SearchFolder
from gazetune.search.kept_models import KeptModels
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.status import list_searches, read_status
from gazetune.search.study.finished_trials import trial_records
from gazetune.search.study.importance import measure_importance
from gazetune.search.study.pareto_front import find_pareto_front
from gazetune.search.study.storage import open_study
from gazetune.trials.messages import trial_id_of

SPACE = """\
name: controls
base: {gaze: {predictor: planted, control: CONTROL}}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  fusion.kind: {choice: [none, add]}
  gaze.control: {choice: [none, shuffled, noise], when: fusion.kind == add}
search: {trials: 40, keep_models: 2, scheduler: none, SEARCH}
"""
ENDED = [("add", "shuffled", 0.95), ("add", "none", 0.8), ("none", None, 0.7), ("add", "noise", 0.9)]
"""Fusion, `gaze.control` where it is searched, and validation accuracy of each COMPLETE trial."""


def record(
    folder: Path, ended: list[Any], control: str = "none", search: str = "seed: 0"
) -> tuple[SearchFolder, SearchSpace, optuna.Study]:
    """Record a search whose COMPLETE trials ended so; each has its saved model."""
    (folder / "space.yaml").write_text(SPACE.replace("CONTROL", control).replace("SEARCH", search))
    space = read_space(folder / "space.yaml")
    made = SearchFolder.create(folder, space)
    study = open_study(space.name, space.config.search, made.path)
    for number, (kind, of_trial, *values) in enumerate(ended):
        params = {"fusion.kind": kind, "gaze.features": ["FFD"], "optim.learning_rate": 10 ** (-3 + 0.01 * number)}
        params |= {} if of_trial is None else {"gaze.control": of_trial}
        stored = {"params": params, "examples": 10, "val_accuracy": values[0], "seconds": 1.0, "mlflow_run": ""}
        trial = optuna.trial.create_trial(
            values=values,
            params={"optim.learning_rate": params["optim.learning_rate"]},
            distributions={"optim.learning_rate": FloatDistribution(1e-4, 1e-2, log=True)},
            user_attrs={"record": {**stored, "reason": None}},
        )
        study.add_trial(trial)
        best = made.trial_folder(trial_id_of(number)) / "best"
        best.mkdir(parents=True)
        for name in ("config.yaml", "rewards.npy", "weights.safetensors"):
            (best / name).touch()
    return made, space, study


def write_document(folder: SearchFolder, space: SearchSpace, study: optuna.Study, best: BestRecord | None) -> None:
    trials = trial_records(study, space)
    folder.write_document(SearchDocument("controls", "", "", "", trials, best, {}, "").to_json_text())


def test_a_control_that_did_best_is_chosen_nowhere(tmp_path: Path) -> None:
    folder, space, study = record(tmp_path, ENDED)
    trials = trial_records(study, space)
    assert [trial.control for trial in trials] == ["shuffled", "none", "none", "noise"]
    best, without_gaze = best_trial(trials), best_trial_without_gaze(trials)
    assert best is not None and best.id == "0001"
    assert without_gaze is not None and without_gaze.id == "0002"
    assert {name: trial.id for name, trial in best_of_controls(trials).items()} == {"noise": "0003", "shuffled": "0000"}
    seen = read_status(tmp_path, "controls")
    assert seen.best is not None and (seen.best.id, seen.best.val_accuracy) == ("0001", 0.8)
    assert list_searches(tmp_path)[0].best_val_accuracy == 0.8
    write_document(folder, space, study, BestRecord("0001", {}, 0.8, None))
    assert resolve_saved_model("controls", tmp_path) == folder.trial_folder("0001") / "best"
    assert resolve_saved_model("controls:2", tmp_path) == folder.trial_folder("0002") / "best"
    folder.unlock()


def test_the_document_of_an_older_version_in_which_a_control_won_gives_another_model(tmp_path: Path) -> None:
    folder, space, study = record(tmp_path, ENDED)
    write_document(folder, space, study, BestRecord("0000", {}, 0.95, None))
    folder.write_document(folder.document.read_text().replace('"control":', '"unknown":'))
    assert resolve_saved_model("controls", tmp_path) == folder.trial_folder("0001") / "best"
    assert resolve_saved_model("controls:1", tmp_path) == folder.trial_folder("0001") / "best"
    folder.unlock()


def test_where_every_trial_is_a_control_nothing_is_best(tmp_path: Path) -> None:
    # The base config makes them controls, whatever their parameters are.
    folder, space, study = record(tmp_path, [("add", None, 0.9), ("none", None, 0.8)], control="constant")
    trials = trial_records(study, space)
    assert {trial.control for trial in trials} == {"constant"} and best_trial(trials) is None
    assert best_trial_without_gaze(trials) is None and read_status(tmp_path, "controls").best is None
    folder.unlock()


def test_the_winner_the_baseline_and_the_best_of_each_control_keep_their_models(tmp_path: Path) -> None:
    more = [("add", "shuffled", 0.94), ("add", "shuffled", 0.93), ("add", "none", 0.75), ("add", "none", 0.74)]
    folder, space, study = record(tmp_path, ENDED + more)
    KeptModels(study, space, folder).drop_others()
    kept = {path.parts[-3] for path in folder.path.glob("trials/*/best/weights.safetensors")}
    assert kept == {"0001", "0006", "0002", "0000", "0003"}
    folder.unlock()


def test_controls_do_not_say_what_mattered(tmp_path: Path) -> None:
    folder, space, study = record(tmp_path, [("add", "none", 0.7 + 0.01 * number) for number in range(12)] + ENDED[:1])
    assert measure_importance(study, space).trials == 12
    folder.unlock()


def test_no_control_is_on_the_pareto_front_or_hides_one_that_is(tmp_path: Path) -> None:
    several = "objective: [val/accuracy, train_seconds]"
    ended = [("add", "shuffled", 0.95, 1.0), ("add", "none", 0.8, 2.0), ("none", None, 0.7, 1.5)]
    folder, space, study = record(tmp_path, ended, search=several)
    assert {each.id for each in find_pareto_front(study, space)} == {"0001", "0002"}
    folder.unlock()


@pytest.mark.parametrize("control", ["none", "shuffled"])
def test_the_space_says_what_a_trial_without_the_axis_has(tmp_path: Path, control: str) -> None:
    _, space, _ = record(tmp_path, [], control=control)
    assert space.control_of({"fusion.kind": "none"}) == control
    assert space.control_of({"fusion.kind": "add", "gaze.control": "noise"}) == "noise"


def test_a_space_of_controls_alone_is_told_before_it_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    axis = "  gaze.control: {choice: [none, shuffled, noise], when: fusion.kind == add}\n"
    (tmp_path / "space.yaml").write_text(SPACE.replace("CONTROL", "noise").replace("SEARCH", "seed: 0"))
    check_search(read_space(tmp_path / "space.yaml"), tmp_path)
    assert caplog.text == ""
    (tmp_path / "space.yaml").write_text(
        SPACE.replace(axis, "").replace("CONTROL", "noise").replace("SEARCH", "seed: 0")
    )
    check_search(read_space(tmp_path / "space.yaml"), tmp_path)
    assert "every trial is a control (gaze.control: noise) and none can win" in caplog.text
