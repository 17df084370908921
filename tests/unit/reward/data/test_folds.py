"""Folds: which pairs are in which, and that they read as the prepared ones do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.folds import divide_into_folds, join_splits
from gazetune.reward.data.prepared_data import preparation_key, prepare_data
from gazetune.reward.layout.batch_layout import BatchLayout


def test_a_group_is_in_one_fold_and_folds_are_about_equally_large() -> None:
    groups = [f"prompt {number // 3}" for number in range(300)]
    folds = divide_into_folds(groups, 4, seed=1)
    assert all(len(set(folds[3 * group : 3 * group + 3])) == 1 for group in range(100))
    assert np.bincount(folds).tolist() == [75, 75, 75, 75]
    assert (folds != divide_into_folds(groups, 4, seed=2)).any()
    turned = divide_into_folds(groups[::-1], 4, seed=1)
    assert (turned[::-1] == folds).all(), "the order of the pairs changes nothing"


def test_fewer_groups_than_folds_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="4 folds need as many prompts outside test, and there are 2"):
        divide_into_folds(["a", "b", "b", "a"], 4, seed=0)


@pytest.mark.parametrize("kind", ["packed", "padded", "shared"])
def test_pairs_of_joined_splits_are_the_pairs_of_each(planted: PreparedData, kind: str) -> None:
    layout = BatchLayout(kind=kind, sees_gaze=True)  # type: ignore[arg-type]
    first = len(planted.train)
    joined = join_splits(planted.train, planted.validation, np.array([first + 4, 2, first]))
    assert len(joined) == 3
    lengths = np.concatenate([planted.train.pair_lengths(layout), planted.validation.pair_lengths(layout)])
    assert (joined.pair_lengths(layout) == lengths[[first + 4, 2, first]]).all()
    for place, split, pair in ((0, planted.validation, 4), (1, planted.train, 2), (2, planted.validation, 0)):
        ours, theirs = (each.batch_pairs(np.array([at]), layout) for each, at in ((joined, place), (split, pair)))
        for field in dataclasses.fields(ours):
            one, other = getattr(ours, field.name), getattr(theirs, field.name)
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, field.name


def test_folds_cover_the_pairs_outside_test_once_and_take_no_preparation_of_their_own(
    planted_config: Config, planted: PreparedData
) -> None:
    cache = planted.folder.parents[1]
    outside = sorted([*planted.item_keys("train"), *planted.item_keys("validation")])
    held: list[str] = []
    for number in (1, 2, 3):
        config = planted_config.model_copy(
            update={"train": planted_config.train.model_validate({"fold": {"number": number, "of": 3}})}
        )
        assert preparation_key(config) == preparation_key(planted_config)
        fold = prepare_data(config, cache)
        assert fold.folder == planted.folder
        assert len(fold.item_keys("validation")) == len(fold.validation) == fold.facts.pairs["validation"]
        assert not {*fold.item_groups("train")} & {*fold.item_groups("validation")}
        assert sorted([*fold.item_keys("train"), *fold.item_keys("validation")]) == outside
        assert fold.response_words("validation").shape == (len(fold.validation), 2)
        assert (fold.item_keys("test") == planted.item_keys("test")).all()
        held += [*fold.item_keys("validation")]
    assert sorted(held) == outside
