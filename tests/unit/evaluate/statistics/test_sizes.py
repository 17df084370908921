"""Sample sizes, families, seeds, equivalence and diagnostics: formulas, bounds and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from gazetune.evaluate.statistics import (
    adjust_benjamini_hochberg,
    adjust_holm,
    equivalence_p,
    measure_length_bias,
    measure_reliability,
    paired_difference_over_seeds,
    pairs_needed,
    power_of_pairs,
    seeds_needed,
    smallest_detectable_difference,
)


@pytest.mark.parametrize("pairs", [10, 30, 74, 489, 5_000])
@pytest.mark.parametrize("discordance", [0.17, 0.3, 1.0])
def test_pairs_that_are_needed_and_the_difference_that_they_find_are_each_others_inverse(
    pairs: int, discordance: float
) -> None:
    difference = smallest_detectable_difference(pairs, discordance)
    assert difference is not None
    assert pairs_needed(difference, discordance) == pairs
    assert power_of_pairs(pairs, difference, max(discordance, difference)) == pytest.approx(0.8, abs=1e-6)


def test_more_pairs_find_smaller_differences_and_few_find_none() -> None:
    found = [smallest_detectable_difference(pairs) for pairs in (74, 300, 3_000)]
    assert found == sorted(found, reverse=True) and found[0] == pytest.approx(0.13, abs=0.005)
    few = smallest_detectable_difference(20)
    assert few is not None and few > 0.3
    assert smallest_detectable_difference(3, 1.0) is None


def test_seeds_without_spread_take_two_and_seeds_with_much_take_many() -> None:
    assert seeds_needed(0.02, 0.0) == 2
    assert seeds_needed(0.01, 0.03) == pytest.approx((2.8 / (1 / 3)) ** 2, abs=3)


@pytest.mark.parametrize("seeds", [3, 7])
def test_there_is_no_p_over_seeds_below_eight(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    a, b = rng.random((seeds, 300)) < 0.9, rng.random((seeds, 300)) < 0.5
    assert paired_difference_over_seeds(a, b).p is None
    more = rng.random((8, 300))
    found = paired_difference_over_seeds(more < 0.9, more < 0.5)
    assert found.p is not None and found.p < 0.001 and found.low > 0


def test_two_seeds_have_no_interval_and_arms_need_the_same_seeds_and_items() -> None:
    with pytest.raises(ValueError, match="at least 3 seeds, got 2"):
        paired_difference_over_seeds(np.ones((2, 9)), np.zeros((2, 9)))
    with pytest.raises(ValueError, match="same seeds and items"):
        paired_difference_over_seeds(np.ones((3, 9)), np.zeros((3, 8)))


def test_seeds_that_differ_widen_the_interval_and_prompts_do_too() -> None:
    rng = np.random.default_rng(1)
    a = (rng.random((4, 400)) < 0.8).astype(np.float64)
    same, shifted = np.zeros((4, 400)), np.zeros((4, 400))
    shifted[0, :100], shifted[3] = 1.0, a[3]
    narrow, wide = paired_difference_over_seeds(a, same), paired_difference_over_seeds(a, shifted)
    assert wide.seed_error > 5 * narrow.seed_error and wide.high - wide.low > 3 * (narrow.high - narrow.low)
    prompts = np.repeat(np.arange(100), 4)
    copied = np.repeat(a[:, :100], 4, axis=1)
    naive, grouped = (paired_difference_over_seeds(copied, same, groups=each) for each in (None, prompts))
    assert grouped.item_error == pytest.approx(2 * naive.item_error, rel=0.1)


def test_all_items_alike_are_one_point() -> None:
    found = paired_difference_over_seeds(np.ones((3, 50)), np.zeros((3, 50)))
    assert (found.low, found.difference, found.high) == (1.0, 1.0, 1.0)


def test_holm_is_never_below_the_p_nor_above_bonferroni_and_keeps_the_order() -> None:
    values = np.random.default_rng(2).random(40) ** 3
    adjusted = adjust_holm(values)
    assert (adjusted >= values).all() and (adjusted <= np.minimum(1.0, 40 * values)).all()
    assert (np.diff(adjusted[np.argsort(values)]) >= 0).all()
    assert (adjust_benjamini_hochberg(values) <= adjusted).all()
    assert len(adjust_holm([])) == len(adjust_benjamini_hochberg([])) == 0
    with pytest.raises(ValueError, match="p value 1 is nan"):
        adjust_holm([0.5, float("nan")])


def test_equivalence_takes_more_than_no_difference() -> None:
    few, many = np.zeros(400), np.zeros(40_000)
    few[:40], few[40:80] = 1.0, -1.0
    many[:4_000], many[4_000:8_000] = 1.0, -1.0
    assert equivalence_p(few, np.zeros(400), within=0.02) > 0.05
    assert equivalence_p(many, np.zeros(40_000), within=0.02) < 1e-6
    assert equivalence_p(np.ones(9), np.zeros(9), within=0.5) == 1.0
    with pytest.raises(ValueError, match="within must be above 0"):
        equivalence_p(few, few, within=0.0)


def test_rewards_as_sure_as_they_are_right_have_no_calibration_error_and_those_twice_as_sure_have_one() -> None:
    rng = np.random.default_rng(3)
    size = rng.exponential(1.5, 40_000)
    margins = np.where(rng.random(40_000) < 1 / (1 + np.exp(-size)), size, -size)
    calibrated, too_sure = measure_reliability(margins), measure_reliability(2 * margins)
    assert calibrated.error < 0.01 < 0.05 < too_sure.error
    assert len(calibrated.bins) == 10 and sum(each.n for each in calibrated.bins) == 40_000
    assert all(each.confidence >= 0.5 for each in calibrated.bins)
    assert sum(each.accuracy < each.confidence for each in too_sure.bins) >= 8


def test_a_model_that_prefers_the_longer_reply_is_found_out() -> None:
    rng = np.random.default_rng(4)
    words = rng.integers(5, 60, (2_000, 2)).astype(np.int32)
    surplus = (words[:, 0] - words[:, 1]).astype(np.float64)
    by_length, fair = measure_length_bias(surplus, words), measure_length_bias(rng.normal(0.3, 1.0, 2_000), words)
    assert by_length.prefers_longer == 1.0 and by_length.labels_prefer_longer == pytest.approx(0.5, abs=0.05)
    assert by_length.bins[0].accuracy == 0.0 and by_length.bins[-1].accuracy == 1.0
    assert fair.prefers_longer == pytest.approx(0.5, abs=0.05)
    assert max(each.accuracy for each in fair.bins) - min(each.accuracy for each in fair.bins) < 0.2
    assert [each.words for each in by_length.bins] == sorted(each.words for each in by_length.bins)


def test_replies_that_are_all_of_one_length_have_no_bias_and_one_bin() -> None:
    found = measure_length_bias(np.array([1.0, -1.0]), np.full((2, 2), 7, np.int32))
    assert (found.prefers_longer, found.labels_prefer_longer, len(found.bins)) == (0.5, 0.5, 1)
    with pytest.raises(ValueError, match="none of them NaN"):
        measure_reliability(np.array([np.nan]))
