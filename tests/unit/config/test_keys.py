"""Dotted keys: all are known, each says what it accepts, and the nearest is found."""

from __future__ import annotations

import pytest

from gazetune.config import Config
from gazetune.config.keys import accepted_values, config_keys, find_key, find_leaf, get_key, key_hint, set_key
from gazetune.errors import InputError


def test_every_leaf_of_the_default_config_is_a_key() -> None:
    tree = Config().model_dump()
    leaves = {f"{name}.{key}" for name, part in tree.items() if isinstance(part, dict) for key in part}
    assert set(config_keys()) == leaves | {"preset", "backbone"}


def test_every_key_says_what_it_accepts() -> None:
    assert all(accepted_values(key) for key in config_keys())
    assert accepted_values("optim.learning_rate") == "a number > 0"
    assert accepted_values("data.pairs") == "an integer >= 1 or null"
    assert accepted_values("fusion.scale") == "learned or a number > 0"
    assert accepted_values("projector.dropout") == "a list of 2, each a number >= 0 and < 1"
    assert accepted_values("deepspeed.offload") == "none, cpu, nvme"


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("optim.lernin_rate", "'optim.learning_rate'"),
        ("learning_rate", "'optim.learning_rate'"),
        ("train.learning_rate", "'optim.learning_rate'"),
        ("optm.lr", "accepted: preset, data, backbone"),
        ("gaze.xx", "accepted: gaze.predictor, gaze.path"),
        ("seed", "'data.seed' or 'train.seed' or 'search.seed'"),
    ],
)
def test_the_nearest_key_is_found(key: str, nearest: str) -> None:
    assert nearest in key_hint(key)


def test_keys_of_a_mapping_that_may_be_null_are_known_and_say_what_they_accept() -> None:
    assert find_leaf("train.early_stop.patience") == "train.early_stop"
    assert find_leaf("train.early_stop.patince") is None
    assert find_leaf("train.early_stop.patience.x") is None
    assert accepted_values("train.early_stop") == "a mapping with the keys patience, min_delta, metric or null"
    assert accepted_values("train.early_stop.patience") == "an integer >= 1"
    assert "did you mean 'train.early_stop.patience'?" in key_hint("train.early_stop.patince")
    assert "a part of 'train.early_stop'" in key_hint("train.early_stop.patience")


@pytest.mark.parametrize(
    ("place", "key"),
    [
        (["train", "early_stop", "patience"], "train.early_stop.patience"),
        (["train", "early_stop"], "train.early_stop"),
        (["fusion", "scale", "float"], "fusion.scale"),
        (["projector", "dropout", "1"], "projector.dropout"),
        (["deepspeed", "override", "a"], "deepspeed.override"),
        (["backbone"], "backbone"),
        ([], ""),
    ],
)
def test_the_key_of_a_place_ends_before_members_of_a_union_and_indices(place: list[str], key: str) -> None:
    assert find_key(place) == key


def test_keys_inside_a_free_form_mapping_are_known_and_inside_another_leaf_not() -> None:
    assert find_leaf("deepspeed.override.zero_optimization.overlap_comm") == "deepspeed.override"
    assert find_leaf("optim.learning_rate.x") is None
    assert find_leaf("optim") is None


def test_get_key_reads_configs_and_trees_alike() -> None:
    assert get_key(Config(), "fusion.kind") == get_key({"fusion": {"kind": "add"}}, "fusion.kind") == "add"
    assert get_key(Config(deepspeed={"override": {"a": {"b": 3}}}), "deepspeed.override.a.b") == 3
    for absent in ("fusion.nonesuch", "fusion.model_config", "fusion.kind.x"):
        with pytest.raises(KeyError):
            get_key(Config(), absent)


def test_set_key_makes_sections_and_refuses_to_go_through_a_value() -> None:
    tree: dict[str, object] = {"data": None}
    set_key(tree, "data.seed", 3)
    set_key(tree, "backbone", "tiny")
    set_key(tree, "deepspeed.override.a.b", 1)
    assert tree == {"data": {"seed": 3}, "backbone": "tiny", "deepspeed": {"override": {"a": {"b": 1}}}}
    with pytest.raises(InputError, match="'backbone' is not a mapping"):
        set_key(tree, "backbone.x", 1)
