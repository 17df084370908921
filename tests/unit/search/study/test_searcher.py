"""The searcher on a real study, with a ledger that only remembers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from ray.tune.search import Searcher

from gazetune.config import Config, ResourcesConfig
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.importance import ENOUGH, measure_importance
from gazetune.search.study.pareto_front import find_pareto_front
from gazetune.search.study.samplers import SamplerFactory
from gazetune.search.study.searcher import StudySearcher
from gazetune.search.study.storage import open_study
from gazetune.trials.feeder import tune_result
from gazetune.trials.messages import JobFailure, TrainingReport
from tests.unit.trials.messages import training_report

SPACE = """
name: told
base: {gaze: {predictor: planted}}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  fusion.kind: {choice: [none, add]}
search: {trials: 3, sampler: random}
"""


class Notes:
    """Stands where the ledger does and keeps what it is told."""

    def __init__(self) -> None:
        self.reasons: list[str | None] = []
        self.ends: list[tuple[str, str]] = []

    def start_trial(self, trial: optuna.Trial, config: Config, params: dict[str, Any]) -> None:
        trial.set_user_attr("record", {"params": params})

    def add_report(self, trial: optuna.Trial, report: TrainingReport) -> None:
        pass

    def record_reason(self, trial: optuna.Trial, reason: str | None) -> None:
        self.reasons.append(reason)

    def end_trial(self, trial: optuna.trial.FrozenTrial) -> None:
        self.ends.append((f"{trial.number:04d}", trial.state.name))


@dataclass
class Host:
    """Runs no trial, but says what a driver would, and keeps what it is told."""

    slots: int = 100
    goes_on: bool = True
    reasons: dict[str, str] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)

    def may_begin_trial(self) -> bool:
        return self.goes_on

    def has_capacity(self, running: Sequence[ResourcesConfig]) -> bool:
        return len(running) < self.slots

    def feeder_config(self, trial_id: str, params: Mapping[str, Any]) -> Any:
        return {"job": {"id": trial_id, **params}}

    def stop_reason(self, trial_id: str) -> str | None:
        return self.reasons.get(trial_id)

    def end_trial(self, trial_id: str, ended: optuna.trial.FrozenTrial) -> None:
        self.ended.append((trial_id, ended.state.name))


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    (tmp_path / "space.yaml").write_text(textwrap.dedent(SPACE))
    return read_space(tmp_path / "space.yaml")


def make_searcher(
    space: SearchSpace, folder: Path, notes: Notes | None = None, host: Host | None = None
) -> StudySearcher:
    study = open_study(space.name, space.config.search, folder)
    ledger: Any = notes or Notes()
    return StudySearcher(space, study, SamplerFactory(space, parallel=False), ledger, host or Host())


def result(examples: int, value: float, done: bool = False, seconds: float = 1.0) -> dict[str, Any]:
    metrics = {"val/accuracy": value, "val/loss": -value}
    return tune_result(examples, value, training_report(examples, done, metrics=metrics, train_seconds=seconds))


def failure(examples: int, objective: float) -> dict[str, Any]:
    return tune_result(examples, objective, JobFailure("loss is nan"))


def test_once_the_search_is_over_no_trial_begins_and_those_that_run_end_as_they_do(
    space: SearchSpace, tmp_path: Path
) -> None:
    host = Host()
    searcher = make_searcher(space, tmp_path, host=host)
    assert isinstance(searcher.suggest("a"), dict)
    host.goes_on = False
    assert searcher.suggest("b") == Searcher.FINISHED
    searcher.on_trial_complete("a", result(30, 0.8, done=True))
    study = open_study(space.name, space.config.search, tmp_path)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"]
    assert make_searcher(space, tmp_path, host=Host(goes_on=False)).suggest("c") == Searcher.FINISHED


def test_the_study_is_not_asked_for_a_trial_that_no_slot_can_take(space: SearchSpace, tmp_path: Path) -> None:
    searcher = make_searcher(space, tmp_path, host=Host(slots=2))
    study = open_study(space.name, space.config.search, tmp_path)
    assert searcher.suggest("a") and searcher.suggest("b")
    assert searcher.suggest("c") is None and len(study.trials) == 2
    searcher.on_trial_complete("a", result(20, 0.5, done=True))
    assert searcher.suggest("d") and len(study.trials) == 3
    (tmp_path / "other").mkdir()
    alone = make_searcher(space, tmp_path / "other", host=Host(slots=0))
    assert alone.suggest("a") is not None, "while no trial runs, Tune would not look whether the search is to end"


def test_complete_pruned_and_failed_trials_are_told_apart(space: SearchSpace, tmp_path: Path) -> None:
    notes, host = Notes(), Host()
    searcher = make_searcher(space, tmp_path, notes, host)
    for trial in ("a", "b", "c"):
        searcher.suggest(trial)
        searcher.on_trial_result(trial, result(10, 0.5))
    searcher.on_trial_complete("a", result(30, 0.8, done=True))
    searcher.on_trial_complete("b", result(20, 0.6))
    searcher.on_trial_complete("c", failure(10, 0.5))
    trials = optuna.load_study(study_name="told", storage=f"sqlite:///{tmp_path}/study.db").trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert trials[0].value == 0.8
    assert [trial.intermediate_values for trial in trials] == [{10: 0.5, 30: 0.8}, {10: 0.5, 20: 0.6}, {10: 0.5}]
    assert notes.reasons == [None, "stopped at 20 examples", "loss is nan"]
    assert notes.ends == [("0000", "COMPLETE"), ("0001", "PRUNED"), ("0002", "FAIL")]
    assert host.ended == notes.ends


def test_a_trial_whose_feeder_was_lost_with_ray_stays_to_be_resumed(space: SearchSpace, tmp_path: Path) -> None:
    notes, host = Notes(), Host()
    searcher = make_searcher(space, tmp_path, notes, host)
    searcher.suggest("a")
    searcher.on_trial_complete("a", None, error=True)
    assert notes.reasons == notes.ends == host.ended == []
    assert [trial.state.name for trial in open_study(space.name, space.config.search, tmp_path).trials] == ["RUNNING"]


def test_trials_that_were_left_come_first_with_their_parameters(space: SearchSpace, tmp_path: Path) -> None:
    first = make_searcher(space, tmp_path)
    begun = [first.suggest("a")["job"], first.suggest("b")["job"]]
    first.on_trial_complete("a", result(30, 0.8, done=True))
    second = make_searcher(space, tmp_path)
    assert second.suggest("x")["job"] == begun[1]
    new = second.suggest("y")["job"]
    assert new["id"] == "0002" and new["optim.learning_rate"] not in [job["optim.learning_rate"] for job in begun]


def test_no_configuration_is_proposed_twice_by_drivers_that_take_over_from_each_other(tmp_path: Path) -> None:
    text = SPACE.replace("{log_uniform: [1.0e-4, 1.0e-2]}", "{choice: [1.0e-4, 1.0e-3]}")
    (tmp_path / "space.yaml").write_text(textwrap.dedent(text))
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        space = read_space(tmp_path / "space.yaml", overrides=[f"search.seed={seed}", "search.trials=4"])
        for outcome in ("COMPLETE", "PRUNED"):
            searcher = make_searcher(space, folder)
            for trial in ("a", "b"):
                searcher.suggest(trial)
                searcher.on_trial_complete(trial, result(20, 0.6, done=outcome == "COMPLETE"))
        trials = open_study(space.name, space.config.search, folder).trials
        assert len({tuple(trial.params.items()) for trial in trials}) == 4


def test_losses_are_told_as_losses(tmp_path: Path) -> None:
    text = textwrap.dedent(SPACE).replace("trials: 3", "trials: 3, objective: val/loss")
    (tmp_path / "space.yaml").write_text(text)
    searcher = make_searcher(read_space(tmp_path / "space.yaml"), tmp_path)
    searcher.suggest("a")
    searcher.on_trial_complete("a", result(30, -0.4, done=True))
    study = optuna.load_study(study_name="told", storage=f"sqlite:///{tmp_path}/study.db")
    assert study.best_value == 0.4 and study.direction.name == "MINIMIZE"


def test_a_serial_search_repeats_exactly_with_the_trials_that_were_stopped(space: SearchSpace, tmp_path: Path) -> None:
    space.base["search"]["sampler"] = "tpe"

    def run(folder: Path, drivers: int) -> list[tuple[str, dict[str, Any]]]:
        """Run 12 trials, by one driver or by several that take over from each other."""
        folder.mkdir()
        for _ in range(drivers):
            searcher = make_searcher(space, folder)
            for number in range(12 // drivers):
                rate = searcher.suggest(str(number))["job"]["optim.learning_rate"]
                searcher.on_trial_result(str(number), result(10, rate))
                searcher.on_trial_complete(
                    str(number), result(30, rate, done=True) if rate > 1e-3 else result(20, rate)
                )
        trials = optuna.load_study(study_name="told", storage=f"sqlite:///{folder}/study.db").trials
        return [(trial.state.name, trial.params) for trial in trials]

    whole = run(tmp_path / "whole", 1)
    assert run(tmp_path / "parts", 3) == whole
    assert {state for state, _ in whole} == {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_a_trial_that_was_begun_and_not_yet_proposed_gets_what_it_would_have_got(
    sampler: str, space: SearchSpace, tmp_path: Path
) -> None:
    space.base["search"]["sampler"] = sampler

    def proposal(folder: Path, killed: bool) -> dict[str, Any]:
        """Return what is proposed after 12 trials, by the driver that ran them or by one that takes over from it."""
        folder.mkdir()
        searcher = make_searcher(space, folder)
        for number in range(12):
            searcher.suggest(str(number))
            searcher.on_trial_complete(str(number), result(30, number / 12, done=True))
        if killed:
            searcher._study.sampler = searcher._samplers.make_sampler(12)
            searcher._study.ask()
            searcher = make_searcher(space, folder)
        return searcher.suggest("12")["job"]

    assert proposal(tmp_path / "killed", True) == proposal(tmp_path / "whole", False)


def test_a_pruned_trial_has_the_reason_that_the_scheduler_gives(space: SearchSpace, tmp_path: Path) -> None:
    notes = Notes()
    searcher = make_searcher(space, tmp_path, notes, Host(reasons={"0001": "worse than trial 0000"}))
    for trial in ("a", "b"):
        searcher.suggest(trial)
        searcher.on_trial_complete(trial, result(20, 0.6))
    assert notes.reasons == ["stopped at 20 examples", "worse than trial 0000"]


def test_several_objectives_give_a_pareto_front_of_complete_trials(tmp_path: Path) -> None:
    several = "trials: 5, scheduler: none, objective: [train_seconds, val/accuracy]"
    (tmp_path / "space.yaml").write_text(textwrap.dedent(SPACE).replace("trials: 3", several))
    space = read_space(tmp_path / "space.yaml")
    searcher = make_searcher(space, tmp_path)
    for number, (seconds, accuracy) in enumerate([(5.0, 0.8), (9.0, 0.7), (2.0, 0.6), (7.0, 0.9)]):
        searcher.suggest(str(number))
        searcher.on_trial_result(str(number), result(10, 0.5))
        searcher.on_trial_complete(str(number), result(30, accuracy, True, seconds))
    searcher.suggest("failed")
    searcher.on_trial_complete("failed", failure(0, 1.0))
    study = open_study(space.name, space.config.search, tmp_path)
    study.add_trial(optuna.trial.create_trial(values=[0.1, 1.0], user_attrs={"gazetune:from": "another:0007"}))
    front = find_pareto_front(study, space)
    assert [(record.id, dict(record.values)) for record in front] == [
        ("0000", {"train_seconds": 5.0, "val/accuracy": 0.8}),
        ("0002", {"train_seconds": 2.0, "val/accuracy": 0.6}),
        ("0003", {"train_seconds": 7.0, "val/accuracy": 0.9}),
    ]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4 + ["FAIL", "COMPLETE"]


def test_only_complete_trials_of_the_search_itself_say_what_mattered(space: SearchSpace, tmp_path: Path) -> None:
    searcher = make_searcher(space, tmp_path)
    for number in range(ENOUGH + 1):
        rate = searcher.suggest(str(number))["job"]["optim.learning_rate"]
        searcher.on_trial_complete(str(number), result(30, rate, done=True) if number else result(20, rate))
    study = open_study(space.name, space.config.search, tmp_path)
    study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs={"gazetune:from": "another:0007"}))
    found = measure_importance(study, space)
    assert found.trials == ENOUGH, "neither the PRUNED trial nor the one of another search"
    assert set(found.shares) == {"optim.learning_rate", "fusion.kind"}
    assert next(iter(found.shares)) == "optim.learning_rate"


def test_several_objectives_have_a_pareto_front_and_no_importance(tmp_path: Path) -> None:
    several = "trials: 5, scheduler: none, objective: [train_seconds, val/accuracy]"
    (tmp_path / "space.yaml").write_text(textwrap.dedent(SPACE).replace("trials: 3", several))
    space = read_space(tmp_path / "space.yaml")
    found = measure_importance(open_study(space.name, space.config.search, tmp_path), space)
    assert found.shares == {} and found.missing is not None and "several objectives" in found.missing


def test_one_objective_has_no_pareto_front(space: SearchSpace, tmp_path: Path) -> None:
    assert find_pareto_front(open_study(space.name, space.config.search, tmp_path), space) == ()
