"""What is known by construction: how often intervals cover, tests are wrong, and differences are found.

Each simulation has 1,000 samples of 300 items or more.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from gazetune.evaluate.statistics import (
    adjust_benjamini_hochberg,
    adjust_holm,
    bootstrap,
    equivalence_p,
    paired_difference,
    paired_difference_over_seeds,
    power_of_pairs,
    seeds_needed,
    sign_flip_p,
    smallest_detectable_difference,
)

SIMULATIONS, ITEMS = 1_000, 300
Array = NDArray[np.float64]


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation draws so many samples that few resamples of each are enough."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 2_000)


def draw_models(
    rng: np.random.Generator, gain: float, seeds: int = 1, seed_sd: float = 0.0, per_prompt: int = 1
) -> tuple[Array, Array, float]:
    """Return the correctness [simulations, seeds, items] of two arms, and the true difference of their accuracies.

    Whether a run is right on an item depends on the item, on the arm and the item, on seed and arm, and on chance. All
    are normal, so the truth is known. With several pairs a prompt its items share what depends on the item.
    """
    shape = (SIMULATIONS, 1, ITEMS // per_prompt)

    def per_item(sd: float) -> Array:
        return np.repeat(rng.normal(0.0, sd, shape), per_prompt, axis=2)

    item = per_item(1.0)
    arms = []
    for shift in (gain, 0.0):
        seed = rng.normal(0.0, seed_sd, (SIMULATIONS, seeds, 1))
        chance = rng.normal(0.0, 0.5, (SIMULATIONS, seeds, ITEMS))
        arms.append(((0.8 + shift + item + per_item(0.7) + seed + chance) > 0).astype(np.float64))
    spread = np.sqrt(1.0 + 0.7**2 + 0.5**2 + seed_sd**2)
    return arms[0], arms[1], float(stats.norm.cdf((0.8 + gain) / spread) - stats.norm.cdf(0.8 / spread))


def holds_five_percent(wrong: int) -> bool:
    """Tell whether the 99 % binomial interval of an error rate contains or lies below 5 %."""
    return bool(stats.binomtest(wrong, SIMULATIONS).proportion_ci(0.99).low <= 0.05)


def test_the_interval_over_items_covers_as_often_as_it_says() -> None:
    a, b, truth = draw_models(np.random.default_rng(1), gain=0.25)
    found = [paired_difference(a[i, 0], b[i, 0]) for i in range(SIMULATIONS)]
    assert 0.925 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.975


def test_the_interval_over_prompts_covers_as_often_as_it_says_where_pairs_of_a_prompt_are_alike() -> None:
    a, b, truth = draw_models(np.random.default_rng(2), gain=0.25, per_prompt=4)
    prompts = np.repeat(np.arange(ITEMS // 4), 4)
    found = [paired_difference(a[i, 0], b[i, 0], groups=prompts) for i in range(SIMULATIONS)]
    assert 0.925 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.975
    naive = [paired_difference(a[i, 0], b[i, 0]) for i in range(0, SIMULATIONS, 4)]
    assert np.mean([each.low <= truth <= each.high for each in naive]) < 0.85


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.91), (5, 0.925), (10, 0.935)])
def test_the_interval_over_seeds_covers_as_often_as_the_documentation_says(seeds: int, least: float) -> None:
    a, b, truth = draw_models(np.random.default_rng(seeds), gain=0.25, seeds=seeds, seed_sd=0.15)
    found = [paired_difference_over_seeds(a[i], b[i]) for i in range(SIMULATIONS)]
    assert least <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.985
    half = np.median([each.high - each.low for each in found]) / 2
    one_seed = np.median([each.high - each.low for each in map(paired_difference, a[:200, 0], b[:200, 0])]) / 2
    assert half > 0.5 * one_seed


def test_equal_models_are_told_apart_no_more_often_than_five_times_in_a_hundred() -> None:
    a, b, truth = draw_models(np.random.default_rng(4), gain=0.0)
    assert truth == 0.0
    found = [paired_difference(a[i, 0], b[i, 0]) for i in range(SIMULATIONS)]
    assert holds_five_percent(sum(each.low > 0 or each.high < 0 for each in found))
    assert holds_five_percent(sum(each.p <= 0.05 for each in found))
    assert holds_five_percent(sum(sign_flip_p(a[i, 0], b[i, 0]) <= 0.05 for i in range(SIMULATIONS)))


def test_sign_flips_of_prompts_are_wrong_five_times_in_a_hundred_and_those_of_alike_items_more_often() -> None:
    a, b, _ = draw_models(np.random.default_rng(5), gain=0.0, per_prompt=4)
    prompts = np.repeat(np.arange(ITEMS // 4), 4)
    grouped = sum(sign_flip_p(a[i, 0], b[i, 0], groups=prompts) <= 0.05 for i in range(SIMULATIONS))
    naive = sum(sign_flip_p(a[i, 0], b[i, 0]) <= 0.05 for i in range(SIMULATIONS))
    assert holds_five_percent(grouped) and grouped > 20
    assert not holds_five_percent(naive)


def test_seeds_that_differ_by_chance_alone_are_told_apart_no_more_often_than_five_times_in_a_hundred() -> None:
    a, b, _ = draw_models(np.random.default_rng(6), gain=0.0, seeds=8, seed_sd=0.2)
    found = [paired_difference_over_seeds(a[i], b[i]) for i in range(SIMULATIONS)]
    assert holds_five_percent(sum(each.p is not None and each.p <= 0.05 for each in found))
    assert holds_five_percent(sum(each.low > 0 or each.high < 0 for each in found))


@pytest.mark.parametrize("discordance", [0.17, 0.3])
def test_the_power_is_the_one_computed(discordance: float) -> None:
    difference = smallest_detectable_difference(ITEMS, discordance)
    assert difference is not None
    rng = np.random.default_rng(7)
    shares = [(discordance + difference) / 2, (discordance - difference) / 2, 1 - discordance]
    items = rng.choice([1.0, -1.0, 0.0], p=shares, size=(SIMULATIONS, ITEMS))
    found = [paired_difference(row, np.zeros(ITEMS)) for row in items]
    assert np.mean([each.low > 0 for each in found]) == pytest.approx(0.8, abs=0.04)
    assert power_of_pairs(ITEMS, difference, discordance) == pytest.approx(0.8, abs=0.001)


def test_the_seeds_that_are_needed_find_the_difference() -> None:
    rng = np.random.default_rng(8)
    for difference, sd in ((0.02, 0.02), (0.03, 0.015)):
        seeds = seeds_needed(difference, sd)
        drawn = rng.normal(difference, sd, (SIMULATIONS, seeds))
        assert np.mean(stats.ttest_1samp(drawn, 0.0, axis=1).pvalue <= 0.05) > 0.77
        fewer = rng.normal(difference, sd, (SIMULATIONS, seeds - 1))
        assert np.mean(stats.ttest_1samp(fewer, 0.0, axis=1).pvalue <= 0.05) < 0.82


def test_families_of_true_null_hypotheses_are_wrong_as_a_whole_five_times_in_a_hundred() -> None:
    drawn = np.random.default_rng(9).random((SIMULATIONS, 8))
    assert holds_five_percent(sum(bool((adjust_holm(row) <= 0.05).any()) for row in drawn))
    assert holds_five_percent(sum(bool((adjust_benjamini_hochberg(row) <= 0.05).any()) for row in drawn))
    assert not holds_five_percent(int((drawn <= 0.05).any(axis=1).sum()))


def test_models_that_are_apart_by_the_margin_are_called_equivalent_five_times_in_a_hundred() -> None:
    items = np.random.default_rng(10).choice([1.0, -1.0, 0.0], p=[0.2, 0.1, 0.7], size=(SIMULATIONS, ITEMS))
    wrong = sum(equivalence_p(row, np.zeros(ITEMS), within=0.1) <= 0.05 for row in items)
    assert holds_five_percent(wrong) and wrong > 20
    assert np.mean([equivalence_p(row, np.zeros(ITEMS), within=0.25) <= 0.05 for row in items]) > 0.95
