from __future__ import annotations

import textwrap
from pathlib import Path

import optuna
import pytest

from gazetune.config import MEASURES, ResourcesConfig
from gazetune.errors import InputError
from gazetune.reward.data.gaze_unit import gaze_unit
from gazetune.reward.data.prepared_data import preparation_key
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.constrained_sampling import propose_values

ROOT = Path(__file__).parents[4]

MINIMAL = """
    name: small
    base: {data: {source: planted}, gaze: {predictor: planted}}
    space:
      gaze.features: {subsets: [nFix, FFD, GPT, TRT, fixProp], when: fusion.kind != none}
      projector.dropout: {choice: [[0.0, 0.1], [0.1, 0.3]], when: fusion.kind != none}
      optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
      fusion.kind: {choice: [none, concat, add]}
    search: {trials: 3}
    resources: {workers: 2}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def samples(space: SearchSpace, count: int) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [propose_values(study.ask(), space) for _ in range(count)]


@pytest.mark.parametrize("name", ["demo", "pairs"])
def test_shipped_spaces_search_all_four_axes(name: str) -> None:
    space = read_space(ROOT / "search_spaces" / f"{name}.yaml")
    searched = {axis.key for axis in space.axes}
    assert {"optim.learning_rate", "projector.dropout", "gaze.features", "fusion.kind"} <= searched


def test_conditional_axes_are_only_chosen_with_a_gaze_fusion(tmp_path: Path) -> None:
    chosen = samples(read_space(write(tmp_path, MINIMAL)), 60)
    assert {params["fusion.kind"] for params in chosen} == {"none", "concat", "add"}
    for params in chosen:
        gaze = params["fusion.kind"] != "none"
        assert ("gaze.features" in params) == gaze
        assert ("projector.dropout" in params) == gaze
        assert 1e-4 <= params["optim.learning_rate"] <= 1e-2


def test_every_sample_builds_a_config(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, MINIMAL))
    for params in samples(space, 20):
        config = space.trial_config(params)
        assert config.fusion.kind == params["fusion.kind"]
        assert config.optim.learning_rate == params["optim.learning_rate"]
        if "gaze.features" in params:
            assert list(config.gaze.features) == params["gaze.features"]


def test_subsets_reach_all_31_masks_and_never_the_empty_one(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, MINIMAL), overrides=["fusion.kind=add"])
    masks = {tuple(params["gaze.features"]) for params in samples(space, 600)}
    assert () not in masks
    assert len(masks) == 31
    assert all(tuple(sorted(mask, key=MEASURES.index)) == mask for mask in masks)


def test_data_configs_are_the_combinations_that_need_preparing(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "fusion.kind:",
        "gaze.control: {choice: [none, shuffled]}\n      data.seed: {choice: [0, 1, 2]}\n      fusion.kind:",
    )
    configs = read_space(write(tmp_path, text)).data_configs()
    assert {(config.gaze.control, config.data.seed) for config in configs} == {
        (control, seed) for control in ("none", "shuffled") for seed in (0, 1, 2)
    }


def test_data_configs_follow_conditions(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "fusion.kind:",
        "gaze.control: {choice: [shuffled, noise], when: fusion.kind == add}\n"
        "      gaze.align: {choice: [spread, first], when: gaze.control == shuffled}\n"
        "      data.seed: {choice: [3, 4], when: optim.learning_rate != 0}\n      fusion.kind:",
    )
    configs = read_space(write(tmp_path, text)).data_configs()
    found = {(config.fusion.kind, config.gaze.control, config.gaze.align, config.data.seed) for config in configs}
    # The learning rate is not known beforehand, so the seed of the base (0) is among those that may be needed.
    gaze = {("none", "none", "spread"), ("concat", "none", "spread"), ("add", "noise", "spread")} | {
        ("add", "shuffled", align) for align in ("spread", "first")
    }
    assert found == {(*seen, seed) for seen in gaze for seed in (0, 3, 4)}


def test_data_configs_cover_the_units_that_fusions_take(tmp_path: Path) -> None:
    text = MINIMAL.replace("gaze: {predictor: planted}", "gaze: {predictor: bilstm, path: weights, features: [TRT]}")
    text = text.replace(
        "gaze.features: {subsets: [nFix, FFD, GPT, TRT, fixProp], when", "gaze.align: {choice: [first], when"
    )
    text = text.replace(
        "fusion.kind: {", "fusion.unit: {choice: [word, predictor], when: fusion.kind == concat}\n      fusion.kind: {"
    )
    configs = read_space(write(tmp_path, text)).data_configs()
    assert {(config.fusion.kind, config.fusion.unit) for config in configs} == {
        ("none", "predictor"),
        ("concat", "word"),
        ("concat", "predictor"),
        ("add", "predictor"),
    }
    units = {preparation_key(config): gaze_unit(config) for config in configs if config.fusion.kind != "none"}
    assert sorted(units.values()) == ["predictor", "word"]


def test_sigma_is_an_axis(tmp_path: Path) -> None:
    text = MINIMAL.replace("fusion.kind: {", "gaze.sigma: {choice: [null, [0.5, 2.0]]}\n      fusion.kind: {")
    space = read_space(write(tmp_path, text))
    assert {space.trial_config(params).gaze.sigma for params in samples(space, 20)} == {None, (0.5, 2.0)}
    assert {config.gaze.sigma for config in space.data_configs()} == {None, (0.5, 2.0)}
    fixed = read_space(write(tmp_path, text), overrides=["gaze.sigma=[1, 0]"])
    assert fixed.config.gaze.sigma == (1.0, 0.0)
    with pytest.raises(
        InputError, match=r"gaze.sigma: .* accepted: a list of 2, each a number >= 0 and <= 100 or null"
    ):
        read_space(write(tmp_path, text), overrides=["gaze.sigma=[1, -1]"])


SHAPES = """
    name: shapes
    base: {resources: {cpus_per_worker: 2}}
    space:
      backbone: {choice: {tiny: {}, ./larger: {resources.workers: 4, resources.gpus_per_worker: {choice: [0, 1]}}}}
      optim.learning_rate: {choice: [1.0e-3, 1.0e-4]}
    forbid: [resources.gpus_per_worker == 0 and optim.learning_rate == 1.0e-3]
"""


def test_the_shapes_of_trials_are_those_that_can_be_proposed(tmp_path: Path) -> None:
    (tmp_path / "larger").mkdir()
    space = read_space(write(tmp_path, SHAPES.replace("./larger", str(tmp_path / "larger"))))
    narrow, wide, wider = (
        ResourcesConfig(workers=workers, cpus_per_worker=2, gpus_per_worker=gpus)
        for workers, gpus in ((1, 0), (4, 1), (4, 0))
    )
    assert set(space.resource_shapes()) == {narrow, wide, wider}
    assert {space.trial_resources(params) for params in samples(space, 40)} == {narrow, wide, wider}
    fixed = read_space(Path(space.origin), overrides=["resources.gpus_per_worker=1"])
    assert set(fixed.resource_shapes()) == {wide, narrow.model_copy(update={"gpus_per_worker": 1.0})}
    assert read_space(write(tmp_path, MINIMAL)).resource_shapes() == (ResourcesConfig(workers=2),)
