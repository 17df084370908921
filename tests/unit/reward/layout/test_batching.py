"""Batches hold exactly what the flat arrays hold, text after text, and say what stands and sees what."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.attention import Segments
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import ARRAYS, EncodedSplit, PairBatch, split_rewards

PACKED = BatchLayout("packed")


def split_of(token_counts: list[int], unit_counts: list[int]) -> EncodedSplit:
    """Sequences of these lengths; every number in the arrays says where it came from."""
    tokens, units = sum(token_counts), sum(unit_counts)
    within = np.concatenate([np.arange(count) for count in token_counts])
    counts = np.repeat(unit_counts, token_counts)
    return EncodedSplit(
        ids=np.arange(tokens, dtype=np.int32) + 100,
        token_unit=np.where(within < counts, within, -1).astype(np.int32),
        token_share=np.arange(tokens, dtype=np.float32) / 64,
        token_starts=np.cumsum([0, *token_counts]).astype(np.int64),
        unit_index=np.arange(units, dtype=np.int32)[::-1].copy(),
        unit_starts=np.cumsum([0, *unit_counts]).astype(np.int64),
        scores=np.arange(len(token_counts) // 2, dtype=np.float32) / 2,
        values=np.arange(5 * max(units, 1), dtype=np.float32).reshape(-1, 5),
    )


@pytest.fixture
def small() -> EncodedSplit:
    return split_of([3, 5, 2, 4, 1, 6], [2, 0, 1, 3, 1, 2])


def alike(common: int, chosen: int, rejected: int, units: int = 1) -> EncodedSplit:
    """One pair whose first tokens, and their measures, are the same."""
    split = split_of([chosen, rejected], [units, units])
    for name in ("ids", "token_unit", "token_share"):
        array = getattr(split, name)
        array[chosen : chosen + common] = array[:common]
    split.unit_index[units:] = split.unit_index[:units]
    return split


def test_a_split_counts_pairs(small: EncodedSplit) -> None:
    assert len(small) == 3


@pytest.mark.parametrize("pairs", [[0], [2, 0], [0, 1, 2], [1, 1]])
def test_texts_stand_one_after_another_as_in_the_flat_arrays(small: EncodedSplit, pairs: list[int]) -> None:
    batch = small.batch_pairs(np.array(pairs), PACKED)
    rows = [row for pair in pairs for row in (2 * pair, 2 * pair + 1)]
    tokens = batch.unit_segments.queries
    columns = [batch.input_ids.split(tokens), batch.token_unit.split(tokens), batch.token_share.split(tokens)]
    first_unit = 0
    for row, ids, unit, share, own in zip(rows, *columns, batch.units.split(batch.unit_segments.keys), strict=True):
        flat = slice(small.token_starts[row], small.token_starts[row + 1])
        assert ids.tolist() == small.ids[flat].tolist()
        assert unit.tolist() == [at if at < 0 else at + first_unit for at in small.token_unit[flat].tolist()]
        assert share.tolist() == small.token_share[flat].tolist()
        index = small.unit_index[small.unit_starts[row] : small.unit_starts[row + 1]]
        assert own.tolist() == small.values[index].tolist()
        first_unit += len(own)
    assert batch.scores.tolist() == small.scores[pairs].tolist()


def test_places_count_units_within_a_text_and_tokens_follow_the_last_unit(small: EncodedSplit) -> None:
    batch = small.batch_pairs(np.array([0, 1]), PACKED)
    assert batch.unit_number.tolist() == [0, 1, 0, 0, 1, 2]
    #                                    3 tokens  5 tokens       2       4
    assert batch.last_unit_number.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2]


def test_a_packed_batch_has_a_run_for_each_text_and_is_rewarded_at_its_end(small: EncodedSplit) -> None:
    batch = small.batch_pairs(np.array([2, 0]), PACKED)
    assert batch.segments == Segments.from_lengths([1, 6, 3, 5], [(0, 0)] * 4, causal=True)
    assert batch.position_ids.tolist() == [[0, 0, 1, 2, 3, 4, 5, 0, 1, 2, 0, 1, 2, 3, 4]]
    assert batch.pool_index.tolist() == [0, 9, 6, 14]
    assert batch.source_rows is None
    assert batch.attention_mask is None


def test_an_encoder_is_rewarded_at_the_first_position(small: EncodedSplit) -> None:
    batch = small.batch_pairs(np.array([2, 0]), BatchLayout("packed", causal=False))
    assert batch.pool_index.tolist() == [0, 7, 1, 10]
    assert batch.segments is not None
    assert not batch.segments.causal
    padded = small.batch_pairs(np.array([2, 0]), BatchLayout("padded", causal=False))
    assert padded.pool_index.tolist() == [0, 12, 6, 18]


def test_a_padded_batch_has_a_row_for_each_text(small: EncodedSplit) -> None:
    batch = small.batch_pairs(np.array([0]), BatchLayout("padded"))
    assert batch.source_rows is not None
    assert batch.source_rows.view(2, 5).tolist() == [[0, 1, 2, 8, 8], [3, 4, 5, 6, 7]]
    assert batch.attention_mask is not None
    assert batch.attention_mask.tolist() == [[True, True, True, False, False], [True] * 5]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 0], [0, 1, 2, 3, 4]]
    assert batch.pool_index.tolist() == [2, 9]
    assert batch.segments is None


def test_read_on_padding_a_row_counts_on_and_is_rewarded_at_its_end(small: EncodedSplit) -> None:
    batch = small.batch_pairs(np.array([2, 0]), BatchLayout("padded", pools_padding=True))
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 5]] * 4
    assert batch.pool_index.tolist() == [5, 17, 11, 23]
    plain = small.batch_pairs(np.array([2, 0]), BatchLayout("padded"))
    assert (
        batch.attention_mask is not None
        and plain.attention_mask is not None
        and batch.source_rows is not None
        and plain.source_rows is not None
    )
    assert torch.equal(batch.attention_mask, plain.attention_mask) and torch.equal(batch.source_rows, plain.source_rows)


@pytest.mark.parametrize(
    ("place", "first", "second"),
    [
        ("before", [11, 8, 9, 12, 0, 1, 2], [11, 12, 3, 4, 5, 6, 7]),
        ("after", [0, 1, 2, 11, 8, 9, 12], [3, 4, 5, 6, 7, 11, 12]),
    ],
)
def test_gaze_tokens_stand_between_their_boundaries_beside_their_text(place: str, first: list, second: list) -> None:
    # Tokens 0 to 7, then units 8 to 10 (the third is of neither text), then the boundaries.
    split = split_of([3, 5], [2, 0])
    boundaries = {11: 10, 12: 11}
    batch = split.batch_pairs(np.array([0]), BatchLayout("packed", gaze_tokens=place))
    assert batch.source_rows is not None
    assert batch.source_rows.tolist() == [boundaries.get(at, at) for at in first + second]
    assert batch.segments == Segments.from_lengths([7, 7], [(0, 0)] * 2, causal=True)
    assert batch.pool_index.tolist() == [6, 13]


def test_a_common_beginning_stands_once() -> None:
    split = alike(common=10, chosen=14, rejected=12)
    batch = split.batch_pairs(np.array([0]), BatchLayout("shared"))
    assert batch.input_ids.tolist() == [*split.ids[:14], *split.ids[24:26]]
    assert batch.position_ids.tolist() == [[*range(14), 10, 11]]
    assert batch.segments == Segments.from_lengths([14, 2], [(0, 0), (0, 10)], causal=True)
    assert batch.pool_index.tolist() == [13, 15]


def test_gaze_after_a_shared_text_stays_each_ones_own() -> None:
    split = alike(common=10, chosen=14, rejected=12, units=2)
    batch = split.batch_pairs(np.array([0]), BatchLayout("shared", gaze_tokens="after"))
    assert batch.source_rows is not None
    #                                        16 tokens, 4 units
    assert batch.source_rows.tolist() == [*range(14), 20, 16, 17, 21, 14, 15, 20, 18, 19, 21]
    assert batch.segments == Segments.from_lengths([18, 6], [(0, 0), (0, 10)], causal=True)
    assert batch.position_ids.tolist() == [[*range(18), *range(10, 16)]]


def test_a_short_common_beginning_is_not_shared() -> None:
    batch = alike(common=7, chosen=14, rejected=12).batch_pairs(np.array([0]), BatchLayout("shared"))
    assert batch.segments == Segments.from_lengths([14, 12], [(0, 0)] * 2, causal=True)


def test_two_equal_responses_keep_a_token_each() -> None:
    batch = alike(common=12, chosen=12, rejected=12).batch_pairs(np.array([0]), BatchLayout("shared"))
    assert batch.segments == Segments.from_lengths([12, 1], [(0, 0), (0, 11)], causal=True)


@pytest.mark.parametrize("name", ["token_share", "unit_index"])
def test_tokens_with_other_measures_are_shared_only_where_measures_do_not_matter(name: str) -> None:
    split = alike(common=10, chosen=14, rejected=12)
    changed = 14 if name == "token_share" else 1  # the rejected text's first token, or the unit it belongs to
    getattr(split, name)[changed] -= 1
    sees = split.batch_pairs(np.array([0]), BatchLayout("shared"))
    assert sees.segments == Segments.from_lengths([14, 12], [(0, 0)] * 2, causal=True)
    blind = split.batch_pairs(np.array([0]), BatchLayout("shared", sees_gaze=False))
    assert blind.segments == Segments.from_lengths([14, 2], [(0, 0), (0, 10)], causal=True)


def test_the_shared_fraction_is_what_is_saved_of_all_positions() -> None:
    split = alike(common=10, chosen=14, rejected=12)
    assert split.shared_fraction(BatchLayout("shared"), 100) == pytest.approx(10 / 26)
    assert split.shared_fraction(BatchLayout("shared", gaze_tokens="after"), 100) == pytest.approx(10 / (26 + 2 * 3))


def test_lengths_count_gaze_tokens_and_boundaries(small: EncodedSplit) -> None:
    assert small.pair_lengths(PACKED).tolist() == [[3, 5], [2, 4], [1, 6]]
    assert small.pair_lengths(BatchLayout("packed", gaze_tokens="before")).tolist() == [[7, 7], [5, 9], [4, 10]]


def test_rewards_of_a_batch_are_those_of_chosen_and_rejected() -> None:
    chosen, rejected = split_rewards(torch.arange(6.0))
    assert (chosen.tolist(), rejected.tolist()) == ([0, 1, 2], [3, 4, 5])


def test_dtypes_are_those_that_the_model_takes(small: EncodedSplit) -> None:
    batch = small.batch_pairs(np.array([0, 1]), BatchLayout("padded"))
    dtypes = {field.name: getattr(getattr(batch, field.name), "dtype", None) for field in fields(PairBatch)}
    assert dtypes == {
        "input_ids": torch.int64,
        "units": torch.float32,
        "token_unit": torch.int64,
        "token_share": torch.float32,
        "unit_number": torch.int64,
        "last_unit_number": torch.int64,
        "unit_segments": None,
        "source_rows": torch.int64,
        "position_ids": torch.int64,
        "attention_mask": torch.bool,
        "segments": None,
        "scores": torch.float32,
        "pool_index": torch.int64,
    }


def test_every_tensor_of_a_batch_moves(small: EncodedSplit) -> None:
    moved = small.batch_pairs(np.array([0]), BatchLayout("padded")).to(torch.device("meta"))
    tensors = [getattr(moved, field.name) for field in fields(PairBatch)]
    assert {each.device.type for each in tensors if isinstance(each, torch.Tensor)} == {"meta"}


def test_an_opened_split_is_mapped_not_read(planted: PreparedData) -> None:
    opened = EncodedSplit.from_folder(planted.folder, "validation", planted.validation.values)
    assert len(opened) == planted.facts.pairs["validation"]
    assert all(isinstance(getattr(opened, name), np.memmap) for name in ARRAYS)


def test_batches_of_an_opened_split_are_memory_of_their_own(planted: PreparedData, tmp_path: Path) -> None:
    batch = planted.train.batch_pairs(np.arange(2), PACKED)
    before = planted.train.ids[:5].copy()
    batch.input_ids.zero_()
    np.testing.assert_array_equal(planted.train.ids[:5], before)
