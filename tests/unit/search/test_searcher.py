"""The searcher on a real study, with a ledger that only remembers."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import optuna
import pytest

from gazetune.config import SearchConfig
from gazetune.search.driver import replay
from gazetune.search.schedulers import create_scheduler, plan_rungs
from gazetune.search.searcher import TruthfulOptuna, create_sampler, open_study
from gazetune.search.space import SearchSpace, read_space

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

    def started(self, trial: optuna.Trial, trial_id: str, params: dict[str, Any]) -> None:
        trial.set_user_attr("record", {"params": params})

    def reported(self, trial: optuna.Trial, trial_id: str, message: dict[str, Any]) -> None:
        pass

    def ending(self, trial: optuna.Trial, reason: str | None) -> None:
        self.reasons.append(reason)

    def ended(self, trial: optuna.trial.FrozenTrial, trial_id: str) -> None:
        self.ends.append((trial_id, trial.state.name))


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    (tmp_path / "space.yaml").write_text(textwrap.dedent(SPACE))
    return read_space(tmp_path / "space.yaml")


def searcher(space: SearchSpace, folder: Path, notes: Notes, cancelled: list[str]) -> TruthfulOptuna:
    study = open_study(space.name, space.config.search, folder, False)
    return TruthfulOptuna(space, study, notes, "board", lambda job, params: {"id": job, **params}, cancelled.append)


def result(examples: int, value: float, outcome: str = "RUNNING") -> dict[str, Any]:
    return {"examples": examples, "objective": value, "outcome": outcome, "report": [{"examples": examples}]}


def test_complete_pruned_and_failed_trials_are_told_apart(space: SearchSpace, tmp_path: Path) -> None:
    notes, cancelled = Notes(), []
    told = searcher(space, tmp_path, notes, cancelled)
    for trial in ("a", "b", "c"):
        told.suggest(trial)
        told.on_trial_result(trial, result(10, 0.5))
    told.on_trial_complete("a", result(30, 0.8, "COMPLETE"))
    told.on_trial_complete("b", result(20, 0.6))
    told.on_trial_complete("c", {"examples": 10, "objective": 0.5, "outcome": "FAIL", "reason": "loss is nan"})
    trials = optuna.load_study(study_name="told", storage=f"sqlite:///{tmp_path}/study.db").trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert trials[0].value == 0.8
    assert [trial.intermediate_values for trial in trials] == [{10: 0.5, 30: 0.8}, {10: 0.5, 20: 0.6}, {10: 0.5}]
    assert notes.reasons == [None, "stopped at 20 examples", "loss is nan"]
    assert notes.ends == [("0000", "COMPLETE"), ("0001", "PRUNED"), ("0002", "FAIL")]
    assert cancelled == ["0000", "0001", "0002"]


def test_a_trial_whose_process_vanished_is_a_failure(space: SearchSpace, tmp_path: Path) -> None:
    notes = Notes()
    told = searcher(space, tmp_path, notes, [])
    told.suggest("a")
    told.on_trial_complete("a", None, error=True)
    assert notes.reasons == ["the trial's process ended without a result"]


def test_trials_that_were_left_come_first_with_their_parameters(space: SearchSpace, tmp_path: Path) -> None:
    first = searcher(space, tmp_path, Notes(), [])
    begun = [first.suggest("a")["job"], first.suggest("b")["job"]]
    first.on_trial_complete("a", result(30, 0.8, "COMPLETE"))
    second = searcher(space, tmp_path, Notes(), [])
    assert second.suggest("x")["job"] == begun[1]
    new = second.suggest("y")["job"]
    assert new["id"] == "0002" and new["optim.learning_rate"] not in [job["optim.learning_rate"] for job in begun]


def test_losses_are_told_as_losses(tmp_path: Path) -> None:
    text = textwrap.dedent(SPACE).replace("trials: 3", "trials: 3, objective: val/loss")
    (tmp_path / "space.yaml").write_text(text)
    told = searcher(read_space(tmp_path / "space.yaml"), tmp_path, Notes(), [])
    told.suggest("a")
    told.on_trial_complete("a", result(30, -0.4, "COMPLETE"))
    study = optuna.load_study(study_name="told", storage=f"sqlite:///{tmp_path}/study.db")
    assert study.best_value == 0.4 and study.direction.name == "MINIMIZE"


def test_the_same_seed_proposes_the_same_trials_and_a_resumed_sampler_others(space: SearchSpace) -> None:
    def proposed(begun: int) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=create_sampler(SearchConfig(seed=5), False, begun))
        return [space.suggest(study.ask()) for _ in range(3)]

    assert proposed(0) == proposed(0)
    assert proposed(0) != proposed(3)


def test_a_resumed_scheduler_knows_the_rungs_of_before(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    for value in (0.9, 0.8, 0.7):
        trial = study.ask()
        trial.report(value, 100)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    left = study.ask()
    left.report(0.6, 100)
    search = SearchConfig(rungs=100, reduction=3)
    scheduler = create_scheduler(search, plan_rungs(search, 300))
    replay(scheduler, study.trials, search.objective)
    (rung,) = [recorded for milestone, recorded in scheduler._brackets[0]._rungs if milestone == 100]
    assert sorted(rung.values()) == [0.7, 0.8, 0.9], "the unfinished trial will report its own"
