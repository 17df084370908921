"""Dividing pairs into passes: each once, within the budget, the same number of passes for every worker."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gazetune.reward.layout.passes import divide_passes

LENGTHS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=60).map(
    lambda rows: np.array(rows, dtype=np.int64)
)
BUDGETS = st.integers(1, 400)
WORLDS = st.integers(1, 5)


def fewest_shares(totals: list[int], budget: int) -> int:
    """How many shares the pairs need in this order, counted one by one."""
    shares, room = 0, 0
    for total in totals:
        if shares == 0 or total > room:
            shares, room = shares + 1, budget
        room -= total
    return shares


@given(LENGTHS, BUDGETS, WORLDS)
def test_every_pair_stands_in_one_share_and_every_worker_has_one_in_every_pass(
    lengths: NDArray[np.int64], budget: int, world: int
) -> None:
    passes = divide_passes(lengths, budget, world)
    assert {len(shares) for shares in passes} == {world}
    assert sorted(np.concatenate(list(chain(*passes))).tolist()) == list(range(len(lengths)))
    assert all(len(shares[0]) for shares in passes)
    assert all(len(share) for shares in passes[:-1] for share in shares)


@given(LENGTHS, BUDGETS, WORLDS)
def test_a_share_is_within_the_budget_unless_it_is_one_pair(
    lengths: NDArray[np.int64], budget: int, world: int
) -> None:
    for share in chain(*divide_passes(lengths, budget, world)):
        assert len(share) <= 1 or lengths[share].sum() <= budget


@given(LENGTHS, BUDGETS, WORLDS)
def test_no_division_in_this_order_has_fewer_passes(lengths: NDArray[np.int64], budget: int, world: int) -> None:
    passes = divide_passes(lengths, budget, world)
    order = np.concatenate(list(chain(*passes)))
    shares = fewest_shares(lengths.sum(axis=1)[order].tolist(), budget)
    assert len(passes) == -(-shares // world)


@given(LENGTHS, BUDGETS, WORLDS)
def test_longer_pairs_come_first_and_pairs_of_one_length_in_their_order(
    lengths: NDArray[np.int64], budget: int, world: int
) -> None:
    order = np.concatenate(list(chain(*divide_passes(lengths, budget, world)))).tolist()
    assert order == sorted(range(len(lengths)), key=lambda pair: (-lengths[pair].max(), pair))


def test_a_budget_for_all_pairs_is_divided_evenly_over_the_workers() -> None:
    (shares,) = divide_passes(np.full((8, 2), 10), 10_000, 4)
    assert [share.tolist() for share in shares] == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_share_may_fill_the_budget_to_the_last_position() -> None:
    assert len(divide_passes(np.full((4, 2), 10), 40, 1)) == 2
    assert len(divide_passes(np.full((4, 2), 10), 39, 1)) == 4


def test_the_largest_share_is_as_small_as_the_number_of_passes_allows() -> None:
    # A budget of 60 needs two shares; cut greedily they would be 3 pairs and 1.
    passes = divide_passes(np.full((4, 2), 10), 60, 1)
    assert [share.tolist() for (share,) in passes] == [[0, 1], [2, 3]]


def test_workers_beyond_the_number_of_pairs_get_empty_shares_last() -> None:
    (shares,) = divide_passes(np.array([[3, 4], [9, 1]]), 100, 4)
    assert [share.tolist() for share in shares] == [[1], [0], [], []]


@pytest.mark.parametrize("world", [1, 3])
def test_pairs_over_the_budget_stand_alone(world: int) -> None:
    passes = divide_passes(np.array([[500, 400], [10, 10], [600, 1], [10, 10]]), 50, world)
    assert [share.tolist() for share in chain(*passes) if len(share)] == [[2], [0], [1, 3]]
