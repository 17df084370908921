"""A thousand searches in closed form, from choice over confirmation to verdict, by the functions of a real search."""

from __future__ import annotations

import pytest

from gazetune.config import ConfirmConfig
from tests.unit.search.confirmation.simulated import claims_gain, simulate_search

QUICK = ConfirmConfig(top=2, folds=2, seeds=1)
MOST_CLAIMS = 66
"""Of 1,000 at 5 %: the 99 % quantile of the binomial distribution."""


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw fewer resamples for each interval: its ends are as right, and a little less exact."""
    monkeypatch.setattr("gazetune.evaluate.statistics.bootstrap.RESAMPLES", 500)


def test_a_search_whose_gaze_is_noise_claims_no_gain_more_often_than_chance_allows() -> None:
    claims = sum(claims_gain(simulate_search(seed, 0.0, QUICK)) for seed in range(1000))
    assert claims <= MOST_CLAIMS


def test_a_gain_of_gaze_that_every_control_lacks_is_found() -> None:
    found = sum(claims_gain(simulate_search(seed, 0.12, QUICK)) for seed in range(50))
    assert found >= 45
