"""`try_first`: configs inside the space, and what is said of those outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gazetune.config.yaml_file import dump_yaml
from gazetune.errors import InputError
from gazetune.search.space.points import try_first_points
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space

SPACE = """\
name: small
base: {gaze: {predictor: planted}, train: {epochs: 2}}
space:
  fusion.kind: {choice: [none, add, concat]}
  gaze.align: {choice: [spread, first], when: fusion.kind == add}
  gaze.features: {subsets: [nFix, FFD, GPT, TRT, fixProp], when: fusion.kind != none}
  adapter.r: {int: [4, 16], step: 4}
  optim.learning_rate: {log_uniform: [1e-4, 1e-2]}
  arm: {choice: {short: {train.batch_size: 8}, long: {train.batch_size: 32, train.accumulate: {choice: [1, 2]}}}}
forbid: [adapter.r == 16 and fusion.kind == concat]
search: {trials: 3}
"""


def space_of(tmp_path: Path, *first: dict[str, Any]) -> SearchSpace:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE + dump_yaml({"try_first": list(first)}))
    return read_space(path)


def test_configs_may_be_partial_nested_or_dotted_and_masks_may_be_flags(tmp_path: Path) -> None:
    space = space_of(
        tmp_path,
        {"fusion": {"kind": "add"}, "gaze.features": [0, 1, 0, 1, 0], "optim": {"learning_rate": 1e-3}},
        {"fusion.kind": "none", "adapter.r": 16},
    )
    assert try_first_points(space) == (
        {"fusion.kind": "add", "gaze.features": ["FFD", "TRT"], "optim.learning_rate": 1e-3},
        {"fusion.kind": "none", "adapter.r": 16},
    )


def test_a_group_is_found_by_what_stands_in_it(tmp_path: Path) -> None:
    space = space_of(tmp_path, {"train.batch_size": 32}, {"train.accumulate": 2}, {"arm": "short"})
    assert try_first_points(space) == (
        {"arm": "long", "train.batch_size": 32},
        {"arm": "long", "train.batch_size": 32, "train.accumulate": 2},
        {"arm": "short", "train.batch_size": 8},
    )


def test_keys_that_are_no_axis_may_stand_with_the_value_they_have(tmp_path: Path) -> None:
    assert try_first_points(space_of(tmp_path, {"train.epochs": 2, "adapter.r": 8})) == ({"adapter.r": 8},)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"adapter.r": 6},
            r"yaml:12: try_first: config 1: adapter.r: 6 is outside the space; accepted: a whole number",
        ),
        ({"optim.learning_rate": 0.1}, r"optim.learning_rate: 0.1 is outside the space; accepted: .* 0.0001 to 0.01"),
        ({"fusion.kind": "gated"}, r"fusion.kind: gated is outside the space; accepted: none, add, concat"),
        ({"gaze.features": [], "fusion.kind": "add"}, r"gaze.features"),
        ({"fusion.kind": "none", "gaze.align": "first"}, r"gaze.align: is outside .* only when fusion.kind == add"),
        ({"train.epochs": 3}, r"train.epochs: 3 is outside the space: it is no axis, and the base config has 2"),
        ({"train.batch_size": 16}, r"train.batch_size: 16 is outside the space; accepted: 8"),
        ({"arm": "shrt"}, r"arm: shrt is outside the space; accepted: short, long"),
        ({"adapter.r": 16, "fusion.kind": "concat"}, r"is outside the space: forbid: adapter.r == 16 and fusion.kind"),
        ({"fusion.kid": "add"}, r"unknown key 'fusion.kid'; did you mean 'fusion.kind'"),
    ],
)
def test_a_config_outside_the_space_is_refused_with_key_and_reason(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        space_of(tmp_path, config)
    assert "\n" not in str(caught.value)


def test_more_configs_than_trials_and_one_that_stands_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"yaml:12: try_first: 4 configs for 3 trials \(search.trials\)"):
        space_of(tmp_path, *({"adapter.r": r} for r in (4, 8, 12, 16)))
    with pytest.raises(InputError, match=r"try_first: config 2 stands twice"):
        space_of(tmp_path, {"adapter.r": 4, "fusion.kind": "add"}, {"fusion": {"kind": "add"}, "adapter.r": 4})
    with pytest.raises(InputError, match=r"try_first: config 1: needs a mapping of keys to values, got 4"):
        path = tmp_path / "space.yaml"
        path.write_text(SPACE + "try_first: [4]\n")
        read_space(path)
