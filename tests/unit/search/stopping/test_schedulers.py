"""The real schedulers, fed with recorded curves: who is stopped where, and that a resumed search knows it all."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from gazetune.config import SearchConfig
from gazetune.config.keys import accepted_values
from gazetune.errors import InputError
from gazetune.search.stopping import schedulers
from gazetune.search.stopping.combined_scheduler import CombinedScheduler
from gazetune.search.stopping.schedulers import (
    SCHEDULERS,
    check_same_pairs,
    check_scheduler,
    create_scheduler,
    plan_rungs,
)
from gazetune.search.stopping.schedulers.registry import scheduler
from gazetune.search.study.objectives import OBJECTIVES
from gazetune.train.state.rung_margins import save_margins
from tests.unit.search.markdown_tables import table_rows
from tests.unit.trials.messages import train_job

CURVES = {0: (0.6, 0.7, 0.8), 1: (0.7, 0.8, 0.9), 2: (0.5, 0.55, 0.6), 3: (0.62, 0.78, 0.95), 4: (0.4, 0.9, 0.9)}
"""Validation accuracy of recorded trials at 100, 300 and 900 examples."""
DOCS = Path(__file__).parents[4] / "docs" / "search.md"
RULES = ("asha", "hyperband", "median", "paired", "asha_paired")


def test_rungs_grow_by_the_reduction_up_to_the_budget() -> None:
    rungs = plan_rungs(SearchConfig(rungs=100, reduction=3), 2000)
    assert rungs.examples == (100, 300, 900)
    assert list(rungs.milestones) == [100, 300, 900, 2000]


def test_the_first_rung_defaults_to_the_budget_over_the_reduction_squared() -> None:
    assert plan_rungs(SearchConfig(reduction=3), 900).examples == (100, 300)


def test_without_a_scheduler_trials_are_evaluated_at_the_end_only() -> None:
    assert list(plan_rungs(SearchConfig(scheduler="none"), 900).milestones) == [900]


@pytest.mark.parametrize("budget", [650, 2059, 2100])
def test_no_rung_lies_just_before_the_end(budget: int) -> None:
    assert len(plan_rungs(SearchConfig(), budget).examples) == 2


def test_a_first_rung_beyond_the_budget_is_refused() -> None:
    with pytest.raises(InputError, match=r"search.rungs: 900 is not below a full trial's 900 training examples"):
        plan_rungs(SearchConfig(rungs=900), 900)


def test_ashas_own_milestones_are_the_planned_ones() -> None:
    search = SearchConfig(rungs=100, reduction=3)
    scheduler = create_scheduler(search, plan_rungs(search, 2000))
    assert sorted(milestone for milestone, _ in scheduler.rules[0]._brackets[0]._rungs) == [100, 300, 900]


def scheduled(name: str, **changes: Any) -> CombinedScheduler:
    search = SearchConfig.model_validate({"scheduler": name, "rungs": 100, "reduction": 3, **changes})
    return create_scheduler(search, plan_rungs(search, 900))


def trial(folder: Path, number: int) -> SimpleNamespace:
    """One of Tune's trials, of which only the job is read; Tune's own id is another one for each driver."""
    job = train_job(f"{number:04d}", folder=folder / f"{number:04d}")
    return SimpleNamespace(trial_id=f"tune{number}{np.random.random()}", config={"job": job})


def told(scheduler: CombinedScheduler, folder: Path, number: int, values: Mapping[int, float]) -> int:
    """Feed a trial's curve to the scheduler; returns the examples at which it was stopped, 0 for none."""
    known = trial(folder, number)
    scheduler.on_trial_add(None, known)
    for examples, value in values.items():
        save_margins(folder / f"{number:04d}", examples, np.where(np.arange(60) < 60 * value, 1.0, -1.0))
        result = {"examples": examples, "objective": value}
        if examples >= 900:
            scheduler.on_trial_complete(None, known, result)
        elif scheduler.on_trial_result(None, known, result) == "STOP":
            return examples
    return 0


def curve(number: int) -> dict[int, float]:
    return dict(zip((100, 300, 900), CURVES[number], strict=True))


@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("asha", [0, 0, 100, 100, 100]),
        ("median", [0, 0, 0, 0, 100]),  # three others are needed
        ("paired", [0, 0, 100, 0, 100]),  # 0.62 may be chance at the first rung, and so may 0.78 at the second
        ("asha_paired", [0, 0, 100, 100, 100]),
        ("none", [0, 0, 0, 0, 0]),
    ],
)
def test_recorded_curves_are_stopped_where_the_rule_says(name: str, stops: list[int], tmp_path: Path) -> None:
    scheduler = scheduled(name)
    assert [told(scheduler, tmp_path, number, curve(number)) for number in CURVES] == stops


def test_asha_paired_also_stops_a_trial_of_the_best_third_that_is_shown_to_be_worse(tmp_path: Path) -> None:
    stops = {}
    for name in ("asha", "asha_paired"):
        scheduler = scheduled(name)
        for number, value in enumerate([0.9, 0.3, 0.3, 0.3, 0.3, 0.6]):
            stops[name] = told(scheduler, tmp_path, number, {100: value})
    assert stops == {"asha": 0, "asha_paired": 100}


@pytest.mark.parametrize("name", RULES)
def test_a_resumed_search_stops_the_trials_that_the_first_driver_would_have(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    curves = {n: dict(zip((100, 300, 900), np.sort(rng.uniform(0.3, 1.0, 3)).round(3), strict=True)) for n in range(24)}
    whole = scheduled(name)
    stops = {number: told(whole, tmp_path, number, values) for number, values in curves.items()}
    study = optuna.create_study(direction="maximize")
    for number in range(12):
        begun = study.ask()
        for examples, value in curves[number].items():
            if not stops[number] or examples <= stops[number]:
                begun.report(value, examples)
        pruned = stops[number] > 0
        study.tell(begun, None if pruned else curves[number][900], TrialState.PRUNED if pruned else TrialState.COMPLETE)
    resumed = scheduled(name)
    resumed.remember_trials(study.trials, OBJECTIVES["val/accuracy"], lambda trial_id: tmp_path / trial_id)
    later = {number: told(resumed, tmp_path, number, curves[number]) for number in range(12, 24)}
    assert later == {number: stops[number] for number in range(12, 24)}
    assert len(set(later.values())) > 1


def test_an_unfinished_trial_keeps_its_rungs_and_reports_its_last_one_again(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    left = study.ask()
    left.report(0.6, 100)
    left.report(0.7, 300)
    scheduler = scheduled("asha")
    scheduler.remember_trials(study.trials, OBJECTIVES["val/accuracy"], lambda trial_id: tmp_path / trial_id)
    rungs = dict(scheduler.rules[0]._brackets[0]._rungs)
    assert rungs[100] == {"0000": 0.6} and rungs[300] == {}
    assert told(scheduler, tmp_path, 0, {300: 0.7}) == 0
    assert rungs[300] == {"0000": 0.7}


def test_a_hyperband_bracket_begins_at_its_own_rung_and_belongs_to_the_trial() -> None:
    scheduler, again = scheduled("hyperband", seed=3), scheduled("hyperband", seed=3)
    first = [sorted(examples for examples, _ in bracket._rungs)[:1] for bracket in scheduler.rules[0]._brackets]
    assert first == [[100], [300], [900]]
    places = []
    for each in (scheduler, again):
        for number in range(40):
            each.on_trial_add(None, trial(Path("unused"), number))
        rule = each.rules[0]
        places.append([rule._brackets.index(rule._trial_info[f"{number:04d}"]) for number in range(40)])
    assert places[0] == places[1]
    assert set(places[0]) == {0, 1, 2} and places[0].count(0) > places[0].count(1)


def test_median_stopping_never_pauses_a_trial(tmp_path: Path) -> None:
    # It would ask Tune's controller for the trials that wait, and there is none here.
    assert told(scheduled("median"), tmp_path, 0, {100: 0.1, 300: 0.1}) == 0


def test_a_trial_that_median_stopping_let_go_on_may_be_replayed_after_better_ones(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    for first in (0.9, 0.9, 0.9, 0.1):
        begun = study.ask()
        begun.report(first, 100)
        begun.report(0.95, 300)
        study.tell(begun, state=TrialState.PRUNED)
    scheduler = scheduled("median")
    scheduler.remember_trials(study.trials, OBJECTIVES["val/accuracy"], lambda trial_id: tmp_path / trial_id)
    assert told(scheduler, tmp_path, 4, {100: 0.8}) == 100


def test_losses_are_replayed_with_less_as_the_better(tmp_path: Path) -> None:
    study = optuna.create_study(direction="minimize")
    before = study.ask()
    before.report(0.4, 100)
    study.tell(before, state=TrialState.PRUNED)
    scheduler = scheduled("asha", objective="val/loss")
    scheduler.remember_trials(study.trials, OBJECTIVES["val/loss"], lambda trial_id: tmp_path / trial_id)
    assert told(scheduler, tmp_path, 1, {100: -0.5}) == 100
    assert told(scheduler, tmp_path, 2, {100: -0.3}) == 0


def test_every_accepted_value_is_a_registered_scheduler() -> None:
    assert sorted(accepted_values("search.scheduler").split(", ")) == sorted(SCHEDULERS)
    assert set(RULES) == {name for name, record in SCHEDULERS.items() if record.uses_rungs}


def test_a_scheduler_without_a_file_of_its_name_and_a_name_taken_twice_are_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SCHEDULERS, "forgotten", SCHEDULERS["asha_paired"])
    with pytest.raises(ImportError, match="'forgotten'"):
        importlib.reload(schedulers)
    with pytest.raises(ValueError, match="two schedulers are named 'asha'"):
        scheduler("asha", stops_when="", source="")(SCHEDULERS["asha"].make_rules)


def test_the_table_of_the_docs_says_what_the_records_say() -> None:
    rows = table_rows(DOCS, "scheduler")
    assert {name: stops_when for name, (stops_when,) in rows.items()} == {
        name: record.stops_when for name, record in SCHEDULERS.items()
    }


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("asha", "asha stops trials that are behind on one objective, and with 2"),
        ("paired", "set search.scheduler=none"),
    ],
)
def test_a_scheduler_that_looks_at_one_objective_is_refused_with_several(name: str, told: str) -> None:
    both = {"objective": ["train_seconds", "val/loss"]}
    check_scheduler(SearchConfig.model_validate({"scheduler": "none", **both}), "space.yaml")
    check_scheduler(SearchConfig.model_validate({"scheduler": name}), "space.yaml")
    with pytest.raises(InputError, match=told):
        check_scheduler(SearchConfig.model_validate({"scheduler": name, **both}), "space.yaml")


@pytest.mark.parametrize("name", ["paired", "asha_paired"])
def test_a_paired_test_over_different_pairs_is_refused(name: str) -> None:
    search = SearchConfig.model_validate({"scheduler": name})
    check_same_pairs(search, ["a", "a"])
    with pytest.raises(InputError, match=f"{name} compares trials on the same validation pairs.* 2 different data"):
        check_same_pairs(search, ["a", "b", "a"])
    check_same_pairs(SearchConfig(), ["a", "b"])
