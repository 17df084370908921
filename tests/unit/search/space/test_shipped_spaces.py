"""Every space that comes with the package: it loads, each value of each axis is accepted, samples can train."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from gazetune.errors import InputError
from gazetune.search.space.points import optuna_parameters, try_first_points
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.shipped_spaces import find_space_file, shipped_spaces
from gazetune.search.space.space_file import read_space
from gazetune.train.checks import check_config

STUDIES = (
    "controls",
    "feature_masks",
    "fusion_ablation",
    "human_gaze",
    "paper",
    "predictors",
    "reference_vs_corrected",
)
"""Shipped beside the spaces; tests/unit/ablation/study/test_shipped_studies.py reads them."""
NAMES = (
    "demo",
    "pairs",
    "reference_helpsteer2_mistral",
    "reference_oasst1_llama3",
    "smoke",
)


def shipped(name: str) -> SearchSpace:
    if name.startswith("reference_"):
        pytest.importorskip("bitsandbytes", reason="the reference's recipe quantises its backbone")
    return read_space(shipped_spaces()[name])


def test_the_list_of_shipped_spaces() -> None:
    assert shipped_spaces().keys() == {*NAMES, *STUDIES}


@pytest.mark.parametrize("name", NAMES)
def test_samples_and_what_is_tried_first_can_train(name: str) -> None:
    space = shipped(name)
    assert space.name == name
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        check_config(space.trial_config(space.suggest_values(study.ask())))
    for params in try_first_points(space):
        space.suggest_values(optuna.trial.FixedTrial(optuna_parameters(space, params) | _left_open(space, params)))
        check_config(space.trial_config(params))


def _left_open(space: SearchSpace, params: dict) -> dict:
    """Return some value for each axis that a config of `try_first` leaves to the sampler."""
    return {axis.parameter_name: axis.example_values()[0] for axis in space.axes if axis.key not in params}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_names_the_command_that_runs_it(name: str) -> None:
    with pytest.raises(InputError, match=rf"is a study, .* run it with: gazetune ablate {name}"):
        read_space(shipped_spaces()[name])


def test_the_reference_spaces_try_the_readme_line_first() -> None:
    for name, features in (("reference_helpsteer2_mistral", ("TRT",)), ("reference_oasst1_llama3", ("FFD", "TRT"))):
        space = shipped(name)
        config = space.trial_config(try_first_points(space)[0])
        assert (config.optim.learning_rate, config.optim.min_lr_ratio, config.train.batch_size) == (5e-5, 0.7, 8)
        assert (config.fusion.kind, config.gaze.features, config.projector.dropout) == ("concat", features, (0.1, 0.3))
        assert (config.adapter.quantization, config.adapter.r, config.train.epochs) == ("nf4", 8, 2)


def test_shipped_spaces_stand_in_the_repository_too() -> None:
    folder = Path(__file__).parents[4] / "search_spaces"
    assert {path.stem for path in folder.glob("*.yaml")} == {*NAMES, *STUDIES}


def test_a_shipped_space_is_found_by_name_and_a_file_by_path(tmp_path: Path) -> None:
    assert {"demo", "pairs"} <= shipped_spaces().keys()
    assert find_space_file("demo").name == "demo.yaml"
    own = tmp_path / "demo"
    own.write_text("")
    assert find_space_file(str(own)) == own
    with pytest.raises(InputError, match="neither a file nor a shipped space; did you mean 'pairs'"):
        find_space_file("pair")
