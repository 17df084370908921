"""The replayed confirmation: what it chooses, what it costs, and that the recorded folds are whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from tests.bench.search_confirmed import ConfirmedReplay, one_rung, regrets_of
from tests.bench.search_folds import FoldTable, best_configurations
from tests.bench.search_regret import Replay
from tests.bench.search_table import SPACE, Table

EXAMPLES = np.array([60, 180, 540])
TRAIN, VALIDATION = 300, 400


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return read_space(SPACE)


def rising(space: SearchSpace, folder: Path) -> Replay:
    """Return a table in which a later configuration is better, at every evaluation and on fresh pairs."""
    accuracy = np.linspace(0.5, 0.9, 315)
    right = np.arange(VALIDATION) < np.round(accuracy * VALIDATION)[:, None]
    table = Table(EXAMPLES, np.repeat(right[:, None], 3, axis=1), np.stack([accuracy, accuracy], axis=1))
    return Replay(table, space, folder)


def folds_of(configs: list[int], accuracy: list[float]) -> FoldTable:
    pairs = TRAIN + VALIDATION
    right = np.arange(pairs) < np.round(np.array(accuracy) * pairs)[:, None]
    return FoldTable(np.array(configs), right, np.arange(pairs) - TRAIN, examples=2_000)


def test_the_choice_is_the_best_over_all_folds(space: SearchSpace, tmp_path: Path) -> None:
    confirmed = ConfirmedReplay(rising(space, tmp_path), folds_of([7, 8, 9], [0.7, 0.8, 0.9]))
    assert confirmed.choose([7, 8, 9]) == 9
    assert confirmed.choose([7, 8, 9], top=2) == 8  # the third is no candidate


def test_pairs_that_are_drawn_anew_decide(space: SearchSpace, tmp_path: Path) -> None:
    folds = folds_of([7, 8], [0.7, 0.8])
    folds.right[0, -1] = True
    drawn = np.full(TRAIN + VALIDATION, TRAIN + VALIDATION - 1)  # the one pair on which the first alone is right
    assert ConfirmedReplay(rising(space, tmp_path), folds, drawn).choose([8, 7]) == 7


def test_a_candidate_without_folds_is_refused(space: SearchSpace, tmp_path: Path) -> None:
    confirmed = ConfirmedReplay(rising(space, tmp_path), folds_of([7, 8], [0.7, 0.8]))
    with pytest.raises(SystemExit, match="--also 5"):
        confirmed.choose([7, 5])


def test_a_confirmation_costs_its_trainings(space: SearchSpace, tmp_path: Path) -> None:
    confirmed = ConfirmedReplay(rising(space, tmp_path), folds_of([7], [0.7]))
    assert confirmed.confirmation_share(top=3) == pytest.approx(3 * 2_000 / (540 * 315))


def test_one_rung_keeps_the_best_of_what_its_budget_begins(space: SearchSpace, tmp_path: Path) -> None:
    replay = rising(space, tmp_path)
    begun = 100
    budget = (begun * 60 + 3 * 480) / (540 * 315)
    drawn = np.random.default_rng([0, 2]).permutation(315)[:begun]
    assert one_rung(replay, 0, budget, top=3) == sorted(drawn.tolist(), reverse=True)[:3]


def test_regret_is_in_points_and_counts_what_was_measured_on_few_pairs() -> None:
    table = Table(EXAMPLES, np.zeros((2, 3, 1), dtype=bool), np.array([[0.80, 0.81], [0.79, np.nan]]))
    found = regrets_of([0, 1], table, best=0.83)
    assert found == {"regret_points": 3.0, "mean": 3.0, "largest": 4.0, "not_measured_on_20000": 1}


def test_the_recorded_folds_have_the_best_configurations_and_every_pair_outside_test() -> None:
    folds, table = FoldTable.read(), Table.read()
    assert set(best_configurations(table)) <= set(folds.configs.tolist())
    places = folds.validation[folds.validation >= 0]
    assert sorted(places.tolist()) == list(range(table.right.shape[2]))
    # Trained with nearly twice the pairs, the best ones are right at least as often as in the search.
    assert folds.right.mean() > table.right[folds.configs, -1].mean()
