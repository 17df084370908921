from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gazetune.evaluate.statistics import accuracy_interval, paired_difference, paired_effect_size, sign_flip_p


def test_wilson_interval_is_the_one_of_scipy() -> None:
    items = np.array([1.0] * 83 + [0.0] * 17)
    expected = stats.binomtest(83, 100).proportion_ci(0.9, method="wilson")
    assert accuracy_interval(items, 0.9) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_interval_takes_halves_and_stays_within_0_and_1() -> None:
    low, high = accuracy_interval(np.array([1.0, 0.5, 0.5, 0.0]))
    assert low < 0.5 < high and low + high == pytest.approx(1.0)
    assert accuracy_interval(np.ones(5))[1] == 1.0
    assert accuracy_interval(np.zeros(5))[0] == 0.0


def test_wilson_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    for share in (0.6, 0.85):
        draws = rng.random((2000, 200)) < share
        ends = [accuracy_interval(row.astype(float)) for row in draws]
        assert np.mean([low <= share <= high for low, high in ends]) == pytest.approx(0.95, abs=0.02)


def models(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two dependent models with accuracies 0.78 and 0.70 and a few ties in the second."""
    shared = rng.random(n)
    a = np.where(rng.random(n) < 0.3, rng.random(n) < 0.78, shared < 0.78).astype(float)
    b = np.where(rng.random(n) < 0.3, rng.random(n) < 0.68, shared < 0.68).astype(float)
    b[rng.random(n) < 0.04] = 0.5
    return a, b


def test_paired_interval_agrees_with_the_bootstrap_of_scipy() -> None:
    a, b = models(np.random.default_rng(3), 300)
    found = paired_difference(a, b)
    expected = stats.bootstrap((a - b,), np.mean, n_resamples=10_000, method="BCa", rng=np.random.default_rng(4))
    assert found.difference == pytest.approx(float((a - b).mean()))
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.006)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.006)


def test_paired_interval_of_few_skewed_items_is_accelerated_like_scipys() -> None:
    a, b = np.array([1.0] * 4 + [0.0] * 36), np.zeros(40)
    found = paired_difference(a, b)
    expected = stats.bootstrap((a - b,), np.mean, n_resamples=10_000, method="BCa", rng=np.random.default_rng(4))
    percentile = stats.bootstrap(
        (a - b,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4)
    )
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=1e-9)
    assert found.high > percentile.confidence_interval.high


def test_paired_interval_is_narrower_than_the_unpaired_one() -> None:
    a, b = models(np.random.default_rng(5), 400)
    found = paired_difference(a, b)
    unpaired = 1.96 * np.sqrt((a.var() + b.var()) / 400)
    assert (found.high - found.low) / 2 < 0.9 * unpaired


def test_zero_difference_has_a_symmetric_interval_and_p_of_one() -> None:
    a = np.array([1.0, 0.0] * 60 + [1.0] * 80)
    b = np.array([0.0, 1.0] * 60 + [1.0] * 80)
    found = paired_difference(a, b)
    assert found.difference == 0.0 and found.p == 1.0
    assert found.low == pytest.approx(-found.high, abs=0.01) and found.low < 0


def test_swapping_the_models_mirrors_the_difference() -> None:
    a, b = models(np.random.default_rng(6), 300)
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert other.difference == -one.difference and other.p == one.p
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=0.006)


def test_identical_models_differ_by_exactly_nothing() -> None:
    a = np.array([1.0, 0.5, 0.0])
    assert paired_difference(a, a) == paired_difference(a, a.copy())
    found = paired_difference(a, a)
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_p_is_mcnemars_over_discordant_items_only() -> None:
    a = np.array([1.0] * 9 + [0.0] * 2 + [1.0] * 500)
    b = np.array([0.0] * 9 + [1.0] * 2 + [1.0] * 500)
    assert paired_difference(a, b).p == pytest.approx(2 * stats.binom.cdf(2, 11, 0.5))


def test_the_seed_repeats_the_interval() -> None:
    a, b = models(np.random.default_rng(7), 100)
    assert paired_difference(a, b, seed=1) == paired_difference(a, b, seed=1)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [([1.0], [1.0, 0.0], "same items, got 1 and 2"), ([], [], "at least one item"), ([1.0], [np.nan], "item 0 is NaN")],
)
def test_what_cannot_be_paired_is_refused(a: list[float], b: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        paired_difference(np.array(a), np.array(b))


def test_one_item_a_prompt_is_the_same_as_no_prompts() -> None:
    a, b = models(np.random.default_rng(8), 200)
    assert paired_difference(a, b, groups=np.arange(200)) == paired_difference(a, b)
    assert sign_flip_p(a, b, groups=np.arange(200)) == sign_flip_p(a, b)


def test_copies_of_a_pair_make_nothing_surer_when_they_share_a_prompt() -> None:
    a, b = models(np.random.default_rng(9), 200)
    prompts = np.repeat(np.arange(200), 4)
    once, copied = paired_difference(a, b), paired_difference(np.repeat(a, 4), np.repeat(b, 4), groups=prompts)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=0.004)
    assert sign_flip_p(np.repeat(a, 4), np.repeat(b, 4), groups=prompts) == pytest.approx(sign_flip_p(a, b), abs=0.01)
    naive = paired_difference(np.repeat(a, 4), np.repeat(b, 4))
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_sign_flips_are_those_of_scipy(alternative: str) -> None:
    rng = np.random.default_rng(10)
    for a, b in (models(rng, 120), (rng.normal(0.15, 1.0, 120), rng.normal(0.0, 1.0, 120))):
        expected = stats.permutation_test(
            (a - b,), np.mean, permutation_type="samples", alternative=alternative, vectorized=True, rng=rng
        )
        assert sign_flip_p(a, b, alternative) == pytest.approx(expected.pvalue, abs=0.02)  # type: ignore[arg-type]


def test_discordance_counts_the_items_on_which_the_models_differ() -> None:
    assert paired_difference(np.array([1.0, 0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])).discordance == 0.75


def test_effect_sizes_depend_on_the_share_of_wins_and_not_on_how_many_items_there_are() -> None:
    a, b = np.array([1.0] * 8 + [0.0] * 2 + [1.0] * 10), np.array([0.0] * 8 + [1.0] * 2 + [1.0] * 10)
    found, more = paired_effect_size(a, b), paired_effect_size(np.tile(a, 50), np.tile(b, 50))
    assert found.g == pytest.approx(0.3) and found.d_z == pytest.approx((a - b).mean() / (a - b).std(ddof=1))
    assert more.g == pytest.approx(found.g) and more.d_z == pytest.approx(found.d_z, rel=0.03)
    assert paired_effect_size(a, a).g == 0.0 and paired_effect_size(a, a).d_z == 0.0
