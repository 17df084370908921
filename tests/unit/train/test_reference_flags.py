"""The reference's flags: every one has its key, its default and both README lines their config."""

from __future__ import annotations

import pytest

from gazetune.config.keys import config_keys
from gazetune.reward.model.quantization import has_bitsandbytes
from gazetune.train.reference_flags import FLAGS, IGNORED, reference_notes, reference_params, reference_table

DEFAULTS = {
    "data.source": "OpenAssistant/oasst1",
    "backbone": "mistralai/Mistral-7B-v0.1",
    "data.split": None,
    "data.subsample": 1.0,
    "fusion.kind": "concat",
    "adapter.kind": "lora",
    "adapter.quantization": "nf4" if has_bitsandbytes() else "none",
    "train.seed": 42,
    "data.seed": 42,
    "train.batch_size": 16,
    "data.fold": 0,
    "train.epochs": 2.0,
    "data.max_chars": 10000,
    "optim.learning_rate": 5e-5,
    "optim.weight_decay": 0.1,
    "optim.min_lr_ratio": 0.7,
    "gaze.noise": 0.0,
    "optim.schedule": "constant_with_warmup",
    "train.accumulate": 1,
    "train.gradient_checkpointing": True,
    "train.eval_every": 0,
    "data.pairs": None,
    "projector.dropout": [0.1, 0.3],
    "gaze.predictor": "lexical",
    "gaze.features": ["TRT"],
}


def test_the_defaults_are_those_of_the_reference() -> None:
    assert reference_params({"seed": 42}) == DEFAULTS


def test_without_a_flag_nothing_is_decided() -> None:
    assert reference_params({}) == reference_params(dict.fromkeys(flag.dest for flag in FLAGS)) == {}


def test_every_key_of_the_table_exists() -> None:
    assert {key for flag in FLAGS for key in flag.keys} <= set(config_keys())
    assert {key for flag in FLAGS for key in flag.keys} == set(DEFAULTS)


def test_every_flag_but_one_decides_a_key() -> None:
    assert [flag.names[0] for flag in FLAGS if not flag.keys] == ["--mode"]


@pytest.mark.parametrize(
    ("concat", "softprompt", "kind"),
    [(True, True, "concat"), (True, False, "none"), (False, True, "add"), (False, False, "add")],
)
def test_concat_and_softprompt_choose_the_fusion(concat: bool, softprompt: bool, kind: str) -> None:
    assert reference_params({"concat": concat, "use_softprompt": softprompt})["fusion.kind"] == kind


def test_the_seed_is_also_the_data_seed() -> None:
    params = reference_params({"seed": 44})
    assert (params["train.seed"], params["data.seed"]) == (44, 44)


def test_predictor_one_has_trt_alone_and_predictor_two_the_features_used() -> None:
    mask = ["FFD", "TRT"]
    assert reference_params({"fixations_model_version": 1, "features_used": mask})["gaze.features"] == ["TRT"]
    assert reference_params({"fixations_model_version": 2, "features_used": mask})["gaze.features"] == mask
    assert len(reference_params({"fixations_model_version": 2})["gaze.features"]) == 5


def test_planted_pairs_have_planted_measures() -> None:
    assert reference_params({"dataset_name": "planted"})["gaze.predictor"] == "planted"


@pytest.mark.parametrize(("version", "predictor"), [(1, "bilstm"), (2, "roberta")])
def test_with_weights_the_version_names_the_published_predictor(version: int, predictor: str) -> None:
    for given in (
        {"fixations_model_version": version},
        {"fixations_model_version": version, "dataset_name": "planted"},
    ):
        params = reference_params(given, has_weights=True)
        assert params["gaze.predictor"] == predictor
        assert reference_notes({**given, "use_quantization": "none"}, params) == []
    assert reference_params({"seed": 1}, has_weights=True)["gaze.predictor"] == "bilstm"  # the reference's default
    assert "gaze.predictor" not in reference_params({"seed": 1}, defaults=False, has_weights=True)


def test_without_defaults_only_the_keys_of_given_flags_are_decided() -> None:
    assert reference_params({"seed": 7}, defaults=False) == {"train.seed": 7, "data.seed": 7}
    assert reference_params({"concat": False}, defaults=False) == {"fusion.kind": "add"}


def test_zero_and_empty_mean_all() -> None:
    parse = {flag.dest: flag.parse for flag in FLAGS}
    assert parse["train_samples"]("0") is None and parse["train_samples"]("50") == 50
    assert parse["dataset_split"]("") is None and parse["dataset_split"]("train") == "train"


@pytest.mark.parametrize("word", ["True", "true", "TRUE", "1", "False", "false", "0"])
def test_booleans_are_words(word: str) -> None:
    parse = {flag.dest: flag.parse for flag in FLAGS}
    expected = word.lower() in ("true", "1")
    assert parse["concat"](word) is expected
    assert parse["use_lora"](word) == ("lora" if expected else "full")
    assert parse["use_quantization"](word) == ("nf4" if expected else "none")


def test_the_table_has_every_spelling() -> None:
    table = reference_table()
    assert all(f"`{name}`" in table for flag in FLAGS for name in flag.names)
    assert all(f"`{name}`" in table for name in IGNORED)
