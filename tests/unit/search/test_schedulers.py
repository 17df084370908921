from __future__ import annotations

import pytest

from gazetune.config import SearchConfig
from gazetune.errors import InputError
from gazetune.search.schedulers import create_scheduler, milestones, plan_rungs


def test_rungs_grow_by_the_reduction_up_to_the_budget() -> None:
    rungs = plan_rungs(SearchConfig(rungs=100, reduction=3), 2000)
    assert rungs.examples == (100, 300, 900)
    assert list(milestones(rungs)) == [100, 300, 900, 2000]


def test_the_first_rung_defaults_to_the_budget_over_the_reduction_squared() -> None:
    assert plan_rungs(SearchConfig(reduction=3), 900).examples == (100, 300)


def test_without_a_scheduler_trials_are_evaluated_at_the_end_only() -> None:
    assert list(milestones(plan_rungs(SearchConfig(scheduler="none"), 900))) == [900]


def test_a_first_rung_beyond_the_budget_is_refused() -> None:
    with pytest.raises(InputError, match=r"search.rungs: 900 is not below a full trial's 900 training examples"):
        plan_rungs(SearchConfig(rungs=900), 900)


def test_ashas_own_milestones_are_the_planned_ones() -> None:
    search = SearchConfig(rungs=100, reduction=3)
    scheduler = create_scheduler(search, plan_rungs(search, 2000))
    assert sorted(milestone for milestone, _ in scheduler._brackets[0]._rungs) == [100, 300, 900]
