from __future__ import annotations

import math

import numpy as np
import pytest

from gazetune.evaluate.accuracy import bradley_terry_loss, pair_correctness, pairwise_accuracy, summarise_rewards


def test_a_tie_counts_one_half() -> None:
    assert pair_correctness(np.array([2.0, 0.0, -1e-9])).tolist() == [1.0, 0.5, 0.0]
    assert pairwise_accuracy(np.array([1.0, 0.0, -1.0, 3.0])) == 0.625


def test_a_nan_margin_makes_the_accuracy_nan() -> None:
    assert math.isnan(pairwise_accuracy(np.array([1.0, math.nan])))


def test_no_margins_have_no_accuracy() -> None:
    with pytest.raises(ValueError, match="at least one margin"):
        pairwise_accuracy(np.array([]))


def test_loss_is_minus_log_sigmoid() -> None:
    margins = np.array([0.3, -1.2, 2.0])
    expected = np.mean([-math.log(1 / (1 + math.exp(-m))) for m in margins])
    assert bradley_terry_loss(margins) == pytest.approx(expected, abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_loss_is_stable_for_large_margins() -> None:
    assert bradley_terry_loss(np.array([-1e4])) == 1e4
    assert bradley_terry_loss(np.array([1e4])) == 0.0
    assert bradley_terry_loss(np.array([40.0])) == pytest.approx(math.exp(-40), rel=1e-9)


def test_summary_has_each_statistic_of_its_own_array() -> None:
    chosen, rejected = np.array([1.0, 3.0, 2.0]), np.array([0.0, 1.0, 5.0])
    result = summarise_rewards(chosen - rejected, chosen, rejected)
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["margin_mean"] == pytest.approx(0.0)
    assert result["margin_std"] == pytest.approx(np.std([1, 2, -3]))
    assert result["reward_chosen_mean"] == pytest.approx(2.0)
    assert result["reward_rejected_mean"] == pytest.approx(2.0)
    assert result["reward_rejected_std"] == pytest.approx(np.std([0, 1, 5]))
    assert all(isinstance(value, float) for value in result.values())


def test_summary_refuses_arrays_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="got 2, 2 and 1"):
        summarise_rewards(np.zeros(2), np.zeros(2), np.zeros(1))
