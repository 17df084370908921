"""Batches hold exactly what the flat arrays hold, padded on the right."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from gazetune.reward.batching import ARRAYS, EncodedSplit, PairBatch
from gazetune.reward.dataset import PreparedData

PAD = 99


def split_of(token_counts: list[int], unit_counts: list[int]) -> EncodedSplit:
    """Sequences of these lengths; every number in the arrays says where it came from."""
    tokens, units = sum(token_counts), sum(unit_counts)
    return EncodedSplit(
        ids=np.arange(tokens, dtype=np.int32) + 100,
        token_unit=np.arange(tokens, dtype=np.int32) % 3 - 1,
        token_share=np.arange(tokens, dtype=np.float32) / 64,
        token_starts=np.cumsum([0, *token_counts]).astype(np.int64),
        unit_index=np.arange(units, dtype=np.int32)[::-1].copy(),
        unit_starts=np.cumsum([0, *unit_counts]).astype(np.int64),
        values=np.arange(5 * max(units, 1), dtype=np.float32).reshape(-1, 5),
    )


@pytest.fixture
def small() -> EncodedSplit:
    return split_of([3, 5, 2, 4, 1, 6], [2, 0, 1, 3, 2, 2])


def test_a_split_counts_pairs(small: EncodedSplit) -> None:
    assert len(small) == 3


def test_chosen_ones_come_first_and_rejected_ones_follow_in_the_same_order(small: EncodedSplit) -> None:
    batch = small.batch(np.array([2, 0]), PAD)
    first = small.ids[small.token_starts[[4, 0, 5, 1]]]
    assert batch.input_ids[:, 0].tolist() == first.tolist()


@pytest.mark.parametrize("pairs", [[0], [2, 0], [0, 1, 2], [1, 1]])
def test_rows_match_the_flat_arrays_and_padding_stands_on_the_right(small: EncodedSplit, pairs: list[int]) -> None:
    batch = small.batch(np.array(pairs), PAD)
    rows = [2 * pair for pair in pairs] + [2 * pair + 1 for pair in pairs]
    tokens, units = np.diff(small.token_starts)[rows], np.diff(small.unit_starts)[rows]
    assert batch.input_ids.shape[1] == tokens.max()
    for at, row in enumerate(rows):
        length, count = tokens[at], units[at]
        flat = slice(small.token_starts[row], small.token_starts[row + 1])
        for name, array, fill in (
            ("input_ids", small.ids, PAD),
            ("token_unit", small.token_unit, -1),
            ("token_share", small.token_share, 0.0),
            ("mask", np.ones(len(small.ids)), False),
        ):
            found = getattr(batch, name)[at]
            assert found[:length].tolist() == array[flat].tolist(), name
            assert (found[length:] == fill).all(), name
        index = small.unit_index[small.unit_starts[row] : small.unit_starts[row + 1]]
        assert batch.units[at, :count].tolist() == small.values[index].tolist()
        assert (batch.units[at, count:] == 0).all()
        assert batch.unit_mask[at].tolist() == [column < count for column in range(batch.units.shape[1])]


def test_a_batch_without_any_unit_keeps_a_masked_column_to_index() -> None:
    batch = split_of([2, 3], [0, 0]).batch(np.array([0]), PAD)
    assert batch.units.shape == (2, 1, 5)
    assert not batch.unit_mask.any()


def test_dtypes_are_those_that_the_model_takes(small: EncodedSplit) -> None:
    batch = small.batch(np.array([0, 1]), PAD)
    dtypes = {field.name: getattr(batch, field.name).dtype for field in fields(PairBatch)}
    assert dtypes == {
        "input_ids": torch.int64,
        "mask": torch.bool,
        "units": torch.float32,
        "unit_mask": torch.bool,
        "token_unit": torch.int64,
        "token_share": torch.float32,
    }


def test_every_tensor_of_a_batch_moves(small: EncodedSplit) -> None:
    moved = small.batch(np.array([0]), PAD).to(torch.device("meta"))
    assert {getattr(moved, field.name).device.type for field in fields(PairBatch)} == {"meta"}


def test_an_opened_split_is_mapped_not_read(planted: PreparedData) -> None:
    opened = EncodedSplit.open(planted.folder, "validation", planted.validation.values)
    assert len(opened) == planted.facts.pairs["validation"]
    assert all(isinstance(getattr(opened, name), np.memmap) for name in ARRAYS)


def test_batches_of_an_opened_split_are_memory_of_their_own(planted: PreparedData, tmp_path: Path) -> None:
    batch = planted.train.batch(np.arange(2), PAD)
    before = planted.train.ids[:5].copy()
    batch.input_ids.zero_()
    np.testing.assert_array_equal(planted.train.ids[:5], before)
