from __future__ import annotations

import numpy as np
import pytest

from gazetune.evaluate.margins import Margins
from gazetune.search.confirmation.arms import ScoredRun, compare_arms


def run(name: str, seed: int, validation: float, right: list[int]) -> ScoredRun:
    items = np.array([f"item {number}" for number in range(len(right))])
    rewards = np.array([[float(each), 0.5] for each in right])
    words = np.array([[1, 2], [2, 1]] * (len(right) // 2), dtype=np.int32)
    return ScoredRun(seed, f"baselines/{name}-{seed}", validation, Margins(items, items, rewards, words))


WINNER = [run("winner", 1, 0.8, [1, 1, 1, 0]), run("winner", 2, 0.9, [1, 0, 1, 1])]


def test_arms_are_compared_pair_by_pair_after_averaging_over_seeds() -> None:
    arms = {"winner": WINNER, "winner-without-gaze": [run("none", 1, 0.7, [0, 0, 1, 0]), run("none", 2, 0.7, [0] * 4)]}
    found = compare_arms(arms)
    assert found.right.tolist() == [1.0, 0.5, 1.0, 0.5]
    assert found.no_gaze is not None and found.no_gaze.difference == pytest.approx(0.75 - 0.125)
    assert found.records["winner"].test.accuracy == 0.75 and found.records["winner"].compared is None
    assert found.records["winner"].test_accuracies == (0.75, 0.75)
    assert found.records["winner-without-gaze"].test_accuracies == (0.25, 0.0)
    assert found.shorter.accuracy == 0.5


def test_the_kept_model_is_that_of_the_best_seed_on_validation() -> None:
    found = compare_arms({"winner": WINNER})
    assert (found.kept.seed, found.kept.folder) == (2, "baselines/winner-2")
    assert found.no_gaze is None, "nothing to compare with"


def test_the_baseline_is_the_better_run_without_gaze_on_validation_whatever_test_says() -> None:
    arms = {
        "winner": WINNER,
        "winner-without-gaze": [run("none", 1, 0.6, [1, 1, 1, 1]), run("none", 2, 0.7, [1, 1, 1, 1])],
        "best-none-trial": [run("best", 1, 0.9, [0, 0, 0, 0])],
    }
    found = compare_arms(arms)
    assert found.no_gaze == found.records["best-none-trial"].compared
    assert found.no_gaze is not None and found.no_gaze.difference == 0.75
