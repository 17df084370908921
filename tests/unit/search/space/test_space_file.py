"""Space files: overrides, names, files beside them, and what is said of mistakes."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.search.space.space_file import read_space

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


def test_set_fixes_a_searched_key(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, MINIMAL), overrides=["fusion.kind=none", "optim.learning_rate=1e-3"])
    assert [axis.key for axis in space.axes] == []
    assert space.trial_config({}).fusion.kind == "none"


def test_trials_and_name_can_be_given(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, MINIMAL), name="other", trials=7)
    assert (space.name, space.config.search.trials) == ("other", 7)


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
        ("fusion.kind: {choice: [none,", "train.batch_size: {choice: [8, 8.0,", r"a value stands twice in \[8, 8.0"),
        (
            MASK_CONDITION,
            MASK_CONDITION.replace("fusion.kind != none", "train.batch_size > 010"),
            r"needs a number after",
        ),
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
    (tmp_path / "again.yaml").write_text(space.to_yaml())
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


def test_resources_that_could_be_anything_are_refused(tmp_path: Path) -> None:
    text = MINIMAL.replace("fusion.kind: {choice", "resources.workers: {int: [1, 4]}\n      fusion.kind: {choice")
    with pytest.raises(InputError, match=r"space.yaml:8: resources.workers: accepted: choice, since trials of each"):
        read_space(write(tmp_path, text))
