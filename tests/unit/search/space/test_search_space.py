from __future__ import annotations

import textwrap
from pathlib import Path

import optuna
import pytest

from gazetune.config import MEASURES, ResourcesConfig
from gazetune.errors import InputError
from gazetune.reward.dataset import preparation_key
from gazetune.reward.gaze_unit import gaze_unit
from gazetune.search.space.search_space import SearchSpace, read_space

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
MASK_CONDITION = "when: fusion.kind != none}\n      proj"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def samples(space: SearchSpace, count: int) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


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


def test_set_fixes_a_searched_key(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, MINIMAL), overrides=["fusion.kind=none", "optim.learning_rate=1e-3"])
    assert samples(space, 5) == [{}] * 5
    assert space.trial_config({}).fusion.kind == "none"


def test_trials_and_name_can_be_given(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, MINIMAL), name="other", trials=7)
    assert (space.name, space.config.search.trials) == ("other", 7)


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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("search: {trials", "serch: {trials", r"space.yaml:9: unknown key 'serch'; did you mean 'search'\?"),
        ("fusion.kind: {", "fusion.kid: {", r"space.yaml:8: space: unknown key 'fusion.kid'; did you mean"),
        ("log_uniform", "loguniform", r"did you mean 'log_uniform'\?"),
        ("[1.0e-4, 1.0e-2]", "[1.0e-2, 1.0e-4]", r"optim.learning_rate: log_uniform: needs \[low, high\]"),
        ("[1.0e-4, 1.0e-2]", "[0.0, 1.0e-2]", r"needs bounds above 0"),
        ("[none, concat, add]", "[none, concat, ad]", r"fusion.kind: unknown fusion 'ad'; did you mean 'add'\?"),
        ("[none, concat, add]", "[]", r"fusion.kind: choice: needs a list of at least one value"),
        ("[none, concat, add]", "[add, add]", r"a value stands twice"),
        ("subsets: [nFix,", "subsets: [nfix,", r"space.yaml:5: gaze.features: .*'nfix' is no reading measure"),
        (MASK_CONDITION, MASK_CONDITION.replace("kind", "kin"), r"when: unknown key 'fusion.kin'"),
        (MASK_CONDITION, MASK_CONDITION.replace(" != none", ""), r"'fusion.kind' is no condition"),
        ("[none, concat, add]}", "[none, add], when: 'gaze.features != x'}", r"go in a circle"),
        ("workers: 2}", "workers: 0}", r"space.yaml:10: resources.workers: 0 is not accepted"),
        ("trials: 3}", "trials: 3, rung: 1}", r"unknown key 'search.rung'; did you mean 'search.rungs'"),
        ("name: small", "name: a/b", r"name: 'a/b' is not accepted"),
        ("optim.learning_rate: {", "search.trials: {", r"search.trials holds for the whole search"),
    ],
)
def test_mistakes_are_one_line_with_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MINIMAL
    with pytest.raises(InputError, match=message) as caught:
        read_space(write(tmp_path, MINIMAL.replace(old, new, 1)))
    assert "\n" not in str(caught.value)


def test_a_mask_of_four_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a feature mask has 5 flags .* got 4"):
        read_space(write(tmp_path, MINIMAL), overrides=["gaze.features=[0,1,0,1]"])


def test_set_of_an_unknown_fusion_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown fusion 'concatt'; did you mean 'concat'\?"):
        read_space(write(tmp_path, MINIMAL), overrides=["fusion.kind=concatt"])


def test_a_base_can_name_a_file_for_each_predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").touch()
    monkeypatch.chdir(tmp_path)
    text = MINIMAL.replace(
        "gaze: {predictor: planted}", "gaze: {predictor: planted, path: {bilstm: weights, roberta: owner/name@main}}"
    ).replace("gaze.features: {subsets: [nFix, FFD, GPT, TRT, fixProp], when", "gaze.features: {choice: [[TRT]], when")
    text = text.replace("fusion.kind:", "gaze.predictor: {choice: [planted, bilstm, roberta]}\n      fusion.kind:")
    text = text.replace("predictor: planted, path", "features: [TRT], predictor: planted, path")
    space = read_space(write(tmp_path, text))
    monkeypatch.chdir(ROOT)
    expected = {"planted": None, "bilstm": str(tmp_path / "weights"), "roberta": "owner/name@main"}
    for predictor, path in expected.items():
        assert space.trial_config({"gaze.predictor": predictor}).gaze.path == path
    assert space.config.gaze.path is None
    assert {(config.gaze.predictor, config.gaze.path) for config in space.data_configs()} == set(expected.items())
    (tmp_path / "again.yaml").write_text(space.dump())
    assert read_space(tmp_path / "again.yaml").base == space.base


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("{bilstn: weights}", r"space.yaml:3: gaze.path: 'bilstn' is no gaze predictor; did you mean 'bilstm'\?"),
        ("{bilstm: 3}", r"space.yaml:3: gaze.path: .*3.* is not accepted; accepted: text or null"),
    ],
)
def test_a_wrong_file_of_a_predictor_is_refused_with_its_line(tmp_path: Path, files: str, message: str) -> None:
    text = MINIMAL.replace("gaze: {predictor: planted}", f"gaze: {{predictor: planted, path: {files}}}")
    with pytest.raises(InputError, match=message):
        read_space(write(tmp_path, text))


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
        ("none", "predictor"), ("concat", "word"), ("concat", "predictor"), ("add", "predictor"),
    }  # fmt: skip
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
      backbone: {choice: {tiny: {}, ./larger: {resources.workers: 4, resources.gpus_per_worker: {choice: [1, 2]}}}}
      optim.learning_rate: {choice: [1.0e-3, 1.0e-4]}
    forbid: [resources.gpus_per_worker == 2 and optim.learning_rate == 1.0e-3]
"""


def test_the_shapes_of_trials_are_those_that_can_be_proposed(tmp_path: Path) -> None:
    (tmp_path / "larger").mkdir()
    space = read_space(write(tmp_path, SHAPES.replace("./larger", str(tmp_path / "larger"))))
    narrow, wide, wider = (
        ResourcesConfig(workers=workers, cpus_per_worker=2, gpus_per_worker=gpus)
        for workers, gpus in ((1, 0), (4, 1), (4, 2))
    )
    assert set(space.shapes()) == {narrow, wide, wider}
    assert {space.resources(params) for params in samples(space, 40)} == {narrow, wide, wider}
    fixed = read_space(space.origin and Path(space.origin), overrides=["resources.gpus_per_worker=1"])
    assert set(fixed.shapes()) == {wide, narrow.model_copy(update={"gpus_per_worker": 1.0})}
    assert read_space(write(tmp_path, MINIMAL)).shapes() == (ResourcesConfig(workers=2),)


def test_resources_that_could_be_anything_are_refused(tmp_path: Path) -> None:
    text = MINIMAL.replace("fusion.kind: {choice", "resources.workers: {int: [1, 4]}\n      fusion.kind: {choice")
    with pytest.raises(InputError, match=r"space.yaml:8: resources.workers: accepted: choice, since trials of each"):
        read_space(write(tmp_path, text))
