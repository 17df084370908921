"""Every study that comes with the package: it reads, and has the arms that it is there for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gazetune.ablation.run import run_ablation
from gazetune.ablation.study.contrasts import list_contrasts
from gazetune.ablation.study.study import Study
from gazetune.ablation.study.study_file import read_study
from gazetune.errors import InputError
from gazetune.preferences.splits import load_splits
from gazetune.search.space.shipped_spaces import find_space_file

ON_TINY = [
    "backbone=tiny",
    "adapter.kind=full",
    "adapter.quantization=none",
    "data.source=planted",
    "gaze.predictor=planted",
]


def shipped(name: str, overrides: list[str] | None = None) -> Study:
    return read_study(find_space_file(name, "study"), overrides=overrides or [])


def test_controls_compare_real_gaze_with_four_others_and_each_control_with_none() -> None:
    study = shipped("controls")
    assert [arm.name for arm in study.arms] == ["none", "real", "shuffled", "constant", "noise"]
    assert {(each.arm, each.baseline) for each in list_contrasts(study)} == {
        *(("real", other) for other in ("none", "shuffled", "constant", "noise")),
        *((control, "none") for control in ("shuffled", "constant", "noise")),
    }


def test_paper_is_the_published_grid() -> None:
    pytest.importorskip("bitsandbytes", reason="the recipe quantises its backbone")
    study = shipped("paper")
    assert len(study.cells) == 162
    baselines = {arm.name for arm in study.arms if arm.baseline is None}
    assert len(baselines) == 6, "one for each backbone and data set"
    for arm in study.arms:
        own, config = study.arm_configs[arm.baseline or arm.name], study.arm_configs[arm.name]
        assert (own.backbone, own.data.source) == (config.backbone, config.data.source)
    masks = {(config.gaze.predictor, config.gaze.features) for config in study.arm_configs.values()}
    assert ("bilstm", ("TRT",)) in masks and ("roberta", ("FFD", "TRT")) in masks


def test_a_cut_of_paper_on_the_tiny_backbone_has_one_baseline() -> None:
    study = shipped("paper", ON_TINY)
    assert [arm.baseline for arm in study.arms] == [None, *["none"] * (len(study.arms) - 1)]
    assert len(study.arms) == 7, "without predictor 1 and 2 apart, fcomb1 and fcomb2.1 are one arm"


def test_feature_masks_are_all_31_against_the_two_that_carry_the_label() -> None:
    study = shipped("feature_masks")
    assert len({config.gaze.features for config in study.arm_configs.values()}) == 31
    assert {arm.baseline for arm in study.arms} == {None, "FFD+TRT"}


def test_fusion_ablation_has_every_control_of_every_fusion() -> None:
    study = shipped("fusion_ablation")
    assert len(study.cells) == 63
    assert sum(each.purpose == "gaze" for each in list_contrasts(study)) == 5 * 4


def test_predictors_compare_each_with_its_own_shuffled_measures() -> None:
    found = {(each.arm, each.baseline) for each in list_contrasts(shipped("predictors"))}
    assert {(name, f"{name} shuffled") for name in ("lexical", "bilstm", "roberta")} <= found


def test_human_gaze_asks_of_recorded_gaze_alone_and_keeps_readers_whole() -> None:
    study = shipped("human_gaze")
    asked = [(each.arm, each.baseline) for each in list_contrasts(study) if each.purpose == "gaze"]
    assert set(asked) == {("recorded", other) for other in ("none", "shuffled", "constant", "noise")}
    assert study.arm_configs["predicted"].gaze.path is None
    assert study.arm_configs["reading time"].gaze.features == ("TRT",)
    assert {config.data.group for config in study.arm_configs.values()} == {"reader"}


def test_a_predictor_without_weights_is_named_with_its_arm_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"predictors.yaml: arm 'bilstm': gaze.path: is not set; .* needs its weights"):
        run_ablation("predictors", storage=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_reference_and_its_repairs_differ_in_one_key_each() -> None:
    study = shipped("reference_vs_corrected")
    assert study.arm_configs["reference"].preset == "reference"
    repairs = [arm for arm in study.arms if arm.name not in ("no gaze", "reference", "corrected")]
    assert [len(arm.overrides) for arm in repairs] == [1] * 4


def test_a_study_that_is_not_there_is_called_a_study() -> None:
    with pytest.raises(InputError, match="study 'papr': neither a file nor a shipped study; did you mean 'paper'"):
        shipped("papr")


def test_what_makes_a_study_ones_own_takes_all_pairs_of_the_file(tmp_path: Path) -> None:
    source = tmp_path / "my_pairs.jsonl"
    rows = [{"prompt": f"Question {number}?", "chosen": f"Yes, {number}.", "rejected": "No."} for number in range(3100)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("controls", "predictors", "reference_vs_corrected", "feature_masks"):
        (command,) = re.findall(rf"ablate {name} (.*?)\nname:", find_space_file(name, "study").read_text(), re.DOTALL)
        options = re.findall(r"--set ((?:data|gaze.predictor)\S+)", command)
        study = shipped(name, [each.replace("my_pairs.jsonl", str(source)) for each in options])
        counts = load_splits(study.config.data)
        assert len(counts.train) + len(counts.validation) + len(counts.test) == len(rows), name
        assert all(config.gaze.predictor != "planted" for config in study.arm_configs.values()), name
