from __future__ import annotations

import textwrap
from pathlib import Path

import optuna
import pytest

from gazetune.errors import InputError
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space

GROUPS = """
    name: small
    base: {data: {source: planted}, gaze: {predictor: planted}}
    space:
      arm:
        choice:
          plain: {fusion.kind: none}
          added:
            fusion: {kind: add}
            gaze.align: {choice: [spread, first]}
            optim.learning_rate: {log_uniform: [1e-4, 1e-2]}
          joined:
            fusion.kind: concat
            optim.learning_rate: {log_uniform: [1e-5, 1e-4]}
      train.batch_size:
        choice:
          "8": {train.accumulate: {choice: [2, 4]}}
          "32":
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def samples(space: SearchSpace, count: int) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, multivariate=True, group=True))
    found = []
    for number in range(count):
        trial = study.ask()
        found.append(space.suggest_values(trial))
        study.tell(trial, number)
    return found


def test_choosing_a_group_sets_its_values_and_opens_its_axes(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, GROUPS))
    kinds = {"plain": "none", "added": "add", "joined": "concat"}
    seen = samples(space, 60)
    assert {params["arm"] for params in seen} == set(kinds)
    for params in seen:
        config = space.trial_config(params)
        assert config.fusion.kind == params["fusion.kind"] == kinds[params["arm"]]
        assert ("gaze.align" in params) == (params["arm"] == "added")
        assert ("optim.learning_rate" in params) == (params["arm"] != "plain")
        if params["arm"] != "plain":
            assert (config.optim.learning_rate > 1e-4) == (params["arm"] == "added")
        assert (config.train.accumulate in (2, 4)) == (config.train.batch_size == 8)
        assert params["train.batch_size"] in (8, 32)


def test_a_list_of_partial_configs_is_chosen_as_one(tmp_path: Path) -> None:
    text = """
        name: small
        base: {gaze: {predictor: planted}}
        space:
          recipe: {choice: [{fusion.kind: none}, {fusion: {kind: add}, train: {batch_size: 8, seed: 7}}]}
          gaze.align: {choice: [spread, first], when: recipe == 2}
    """
    with pytest.raises(InputError, match=r"when: 'recipe == 3' never holds; recipe: choice 1, 2"):
        read_space(write(tmp_path, text.replace("recipe == 2", "recipe == 3")))
    space = read_space(write(tmp_path, text))
    found = {
        (config.fusion.kind, config.train.batch_size, config.train.seed)
        for config in map(space.trial_config, samples(space, 20))
    }
    assert found == {("none", 16, 42), ("add", 8, 7)}
    assert all(("gaze.align" in params) == (params["recipe"] == 2) for params in samples(space, 20))


def test_a_group_inside_a_group_is_open_only_where_both_were_chosen(tmp_path: Path) -> None:
    text = """
        name: small
        base: {gaze: {predictor: planted}, fusion: {kind: none}}
        space:
          outer:
            choice:
              closed: {}
              open:
                fusion.kind:
                  choice:
                    add: {gaze.align: {choice: [spread, first]}}
                    concat: {fusion.position: {choice: [before, after]}}
    """
    for params in samples(read_space(write(tmp_path, text)), 40):
        assert ("fusion.kind" in params) == (params["outer"] == "open")
        assert ("gaze.align" in params) == (params.get("fusion.kind") == "add")
        assert ("fusion.position" in params) == (params.get("fusion.kind") == "concat")


def test_set_of_a_key_in_a_group_takes_it_from_every_choice_and_outlives_a_resume(tmp_path: Path) -> None:
    path = write(tmp_path, GROUPS)
    space = read_space(path, overrides=["optim.learning_rate=5e-3", "train.batch_size=8"])
    again = tmp_path / "again.yaml"
    again.write_text(space.to_yaml())
    for read in (space, read_space(again)):
        assert "optim.learning_rate" not in {axis.key for axis in read.axes}
        for params in samples(read, 10):
            config = read.trial_config(params)
            assert config.optim.learning_rate == 5e-3 and config.train.batch_size == 8
            assert config.train.accumulate in (2, 4)  # what the fixed choice opens stays open
    assert read_space(again).axes == space.axes
    closed = read_space(path, overrides=["train.batch_size=32"])
    assert "train.accumulate" not in {axis.key for axis in closed.axes}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fusion.kind: concat", "fusion.knd: concat", r"space.yaml:13: space: unknown key 'fusion.knd'; did you mean"),
        ("[spread, first]}", "[spread, last]}", r"space.yaml:10: gaze.align: \"last\" is not accepted"),
        ("{choice: [spread", "{chioce: [spread", r"space.yaml:10: gaze.align: .* is no axis; did you mean 'choice'"),
        ("fusion: {kind: add}", "fusion: {kind: ad}", r"space.yaml:9: space: fusion.kind: unknown fusion 'ad'"),
        ("plain: {fusion.kind: none}", "plain: none", r"arm: choice: plain: needs a mapping of keys to values or axes"),
        ("arm:", "fusion:", r"space.yaml:5: space: 'fusion' cannot name a group"),
        ("arm:", "a-b:", r"space.yaml:5: space: 'a-b' cannot name a group"),
        ('"32":', '"32": {fusion.kind: add}', r"space.yaml:18: space: fusion.kind: stands twice, first at .*yaml:7"),
        ("train.batch_size:", "search.trials:", r"space.yaml:15: space: search.trials holds for the whole search"),
    ],
)
def test_mistakes_in_groups_are_one_line_with_their_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GROUPS
    with pytest.raises(InputError, match=message) as caught:
        read_space(write(tmp_path, GROUPS.replace(old, new, 1)))
    assert "\n" not in str(caught.value)
