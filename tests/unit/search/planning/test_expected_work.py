"""How much a search trains, against the rule of each scheduler."""

from __future__ import annotations

import pytest

from gazetune.config import SearchConfig
from gazetune.search.planning.expected_work import LARGEST_SIMULATION, TrainingWork
from gazetune.search.stopping.schedulers import plan_rungs


def share(scheduler: str, trials: int, budget: int = 900, reduction: int = 3) -> float:
    search = SearchConfig(scheduler=scheduler, trials=trials, reduction=reduction)
    rungs = plan_rungs(search, budget)
    evaluated_at = [*rungs.milestones]
    return (
        TrainingWork.with_pruning(search, rungs, evaluated_at).examples
        / TrainingWork.without_pruning(trials, evaluated_at).examples
    )


def test_without_a_scheduler_every_trial_uses_its_budget() -> None:
    assert TrainingWork.without_pruning(10, (100, 300, 900)) == TrainingWork(9000.0, 30.0)
    assert share("none", 20) == 1.0
    assert share("paired", 20) == 1.0, "what it stops is not known before"


def test_many_trials_of_asha_come_near_to_one_in_three_at_each_rung() -> None:
    # Rungs at 100 and 300 of 900: 100 + 200/3 + 600/9 of 900 if exactly a third went on.
    exact = (100 + 200 / 3 + 600 / 9) / 900
    assert exact < share("asha", 250) < exact + 0.04
    assert share("asha", 1000) == pytest.approx(share("asha", LARGEST_SIMULATION), abs=1e-9)
    assert share("asha", 10) > share("asha", 30) > share("asha", 250), "the first trials meet no others"


def test_the_others_stop_less_and_a_larger_reduction_stops_more() -> None:
    assert share("asha", 60) < share("median", 60) < 1.0
    assert share("asha", 60) < share("hyperband", 60) < 1.0
    assert share("asha_paired", 60) == share("asha", 60)
    assert share("asha", 60, reduction=4) < share("asha", 60, reduction=2)


def test_a_trial_that_is_stopped_was_evaluated_where_it_was_stopped() -> None:
    search = SearchConfig(trials=1)
    rungs = plan_rungs(search, 900)
    assert TrainingWork.with_pruning(search, rungs, (100, 300, 900)) == TrainingWork(900.0, 3.0), (
        "one trial has no others to be worse than"
    )
