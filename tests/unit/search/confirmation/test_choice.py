from __future__ import annotations

import math

import numpy as np
import pytest

from gazetune.evaluate.margins import Margins
from gazetune.report.document import TrialRecord
from gazetune.search.confirmation.choice import choose_candidate, pool_folds


def trial(number: int, accuracy: float) -> TrialRecord:
    return TrialRecord(f"{number:04d}", "COMPLETE", {"fusion.kind": "add"}, 10, accuracy, 1.0, None)


def margins(right: list[int], items: list[str] | None = None) -> Margins:
    names = np.array(items or [f"item {number}" for number in range(len(right))])
    rewards = np.array([[float(each), 0.5] for each in right])
    return Margins(names, names, rewards, np.ones((len(right), 2), dtype=np.int32))


def test_folds_are_pooled_by_item_whatever_their_order() -> None:
    pooled = pool_folds([margins([1, 0], ["d", "a"]), margins([0, 1], ["b", "c"])])
    assert pooled.items.tolist() == ["a", "b", "c", "d"]
    assert pooled.correctness.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_the_candidate_that_is_right_most_often_is_chosen_and_not_the_luckiest_of_the_search() -> None:
    trials = [trial(7, 0.9), trial(2, 0.8), trial(5, 0.7)]
    scored = {"0007": margins([1, 0, 0, 0]), "0002": margins([1, 1, 0, 1]), "0005": margins([0, 1, 0, 1])}
    chosen, records = choose_candidate(trials, scored)
    assert chosen == "0002"
    assert [each.accuracy for each in records] == [0.25, 0.75, 0.5]
    assert [each.difference for each in records] == [0.5, None, 0.25]
    assert records[0].difference_ci95 is not None and records[0].searched_accuracy == 0.9


def test_on_ties_the_search_s_own_order_decides() -> None:
    scored = {"0007": margins([1, 0]), "0002": margins([0, 1])}
    assert choose_candidate([trial(7, 0.9), trial(2, 0.8)], scored)[0] == "0007"


def test_a_candidate_with_a_failed_training_is_not_chosen() -> None:
    chosen, records = choose_candidate([trial(7, 0.9), trial(2, 0.8)], {"0002": margins([0, 0])})
    assert chosen == "0002" and (records[0].accuracy, records[0].n) == (None, 0)
    chosen, records = choose_candidate([trial(7, 0.9), trial(2, 0.8)], {})
    assert chosen is None and [each.accuracy for each in records] == [None, None]


def test_candidates_on_other_pairs_are_not_compared() -> None:
    scored = {"0007": margins([1, 0]), "0002": margins([0, 1], ["x", "y"])}
    with pytest.raises(ValueError, match="trials 0007 and 0002 were scored on other pairs"):
        choose_candidate([trial(7, 0.9), trial(2, 0.8)], scored)


def test_rewards_that_are_no_numbers_are_never_chosen_in_silence() -> None:
    broken = margins([1, 1])
    broken.rewards[0, 0] = math.nan
    scored = {"0007": broken, "0002": margins([0, 1])}
    with pytest.raises(ValueError, match="NaN"):
        choose_candidate([trial(7, 0.9), trial(2, 0.8)], scored)
