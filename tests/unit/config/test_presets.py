"""Presets: what each sets, that given keys win, and that the page about them names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gazetune.config import Config
from gazetune.config.config_file import apply_overrides, build_config, dump_config, load_config
from gazetune.config.keys import config_keys, get_key
from gazetune.config.presets import ADDED_LATER, REFERENCE, add_defaults
from gazetune.errors import InputError
from gazetune.reward.model.quantization import has_bitsandbytes
from gazetune.search.space.space_file import read_space

ROOT = Path(__file__).parents[3]
SWITCHES: dict[str, tuple[Any, Any]] = {
    "data.invert_oasst1": (False, True),
    "data.tokens": ("template", "reference"),
    "data.max_chars_of": ("contents", "rendered"),
    "data.prompts": ("conversation", "single"),
    "fusion.freeze": (False, True),
    "train.pool": ("last", "last_padded"),
    "train.batching": ("auto", "padded"),
    "train.padding": ("zeros", "token"),
    "gaze.context": ("message", "chat"),
    "gaze.normalise": (True, False),
    "fusion.scale": ("learned", 1.0),
    "fusion.project_zeros": (False, True),
    "adapter.double_quantization": (True, False),
    "optim.schedule_length": ("steps", "micro_batches"),
    "train.head_std": (None, 0.02),
}
"""What makes the reference the reference: the value of each key with `corrected` and with `reference`."""


def preset(name: str = "reference", **sections: Any) -> Config:
    return Config.model_validate({"preset": name, **sections})


@pytest.mark.parametrize("key", SWITCHES)
def test_each_preset_has_its_side_of_every_switch(key: str) -> None:
    assert (get_key(Config(), key), get_key(preset(), key)) == SWITCHES[key]


def test_the_reference_has_the_values_of_its_recipe() -> None:
    config = preset(backbone="org/model")
    assert {key: get_key(config, key) for key in ("adapter.kind", "adapter.r", "adapter.alpha", "adapter.dropout")} == {
        "adapter.kind": "lora",
        "adapter.r": 8,
        "adapter.alpha": 32,
        "adapter.dropout": 0.1,
    }
    assert config.adapter.targets == ("q_proj", "v_proj")
    assert (config.train.epochs, config.optim.weight_decay, config.train.gradient_checkpointing) == (2, 0.1, True)
    assert (config.optim.schedule, config.optim.min_lr_ratio, config.data.max_chars) == (
        "cosine_with_min_lr",
        0.7,
        10000,
    )
    assert (config.fusion.kind, config.fusion.unit, config.gaze.align) == ("concat", "predictor", "spread")


def test_corrected_is_the_default_and_sets_nothing() -> None:
    assert preset("corrected") == Config()
    assert add_defaults({"preset": "corrected", "train": {"epochs": 3}}) == {
        "preset": "corrected",
        "train": {"epochs": 3},
        "adapter": {"kind": "full"},
    }


def test_all_that_differs_between_the_presets_is_a_default_of_the_reference() -> None:
    corrected, reference = Config(), preset()
    differing = {key for key in config_keys() if get_key(corrected, key) != get_key(reference, key)}
    assert differing == {
        *SWITCHES,
        "preset",
        "adapter.kind",
        "adapter.targets",
        "fusion.kind",
        "train.epochs",
        "train.gradient_checkpointing",
    }


OTHER = {
    "data": {
        "max_chars": 3,
        "max_chars_of": "contents",
        "prompts": "conversation",
        "invert_oasst1": False,
        "tokens": "template",
    },
    "adapter": {"kind": "full", "r": 3, "alpha": 3, "dropout": 0, "targets": "all-linear", "double_quantization": True},
    "gaze": {"context": "message", "scope": "response", "align": "first", "normalise": True},
    "fusion": {"kind": "add", "unit": "word", "position": "after", "scale": 0.5, "project_zeros": False},
    "projector": {"dropout": [0, 0]},
    "optim": {"learning_rate": 3, "weight_decay": 3, "schedule": "linear", "min_lr_ratio": 0.3},
    "train": {
        "epochs": 3,
        "batch_size": 3,
        "accumulate": 3,
        "eval_every": 3,
        "batching": "auto",
        "pool": "last",
        "head_std": 3.0,
        "gradient_checkpointing": False,
    },
}


def test_a_key_that_is_given_wins_over_the_preset() -> None:
    assert {section: set(keys) for section, keys in REFERENCE.items()} == {
        **{section: set(keys) for section, keys in OTHER.items()},
        "loss": {"kind"},  # there is one loss
    }
    for section, keys in OTHER.items():
        for name, value in keys.items():
            key = f"{section}.{name}"
            given = Config.model_validate({section: {name: value}})
            found = preset(**{section: {name: value}})
            assert get_key(found, key) == get_key(given, key) != get_key(preset(), key), key


def test_a_config_that_an_older_version_wrote_reads_as_it_was_then() -> None:
    tree = preset().model_dump(mode="json")
    for key in ADDED_LATER:
        section, name = key.split(".")
        del tree[section][name]
    old = Config.model_validate(tree)
    differing = {key for key in config_keys() if get_key(old, key) != get_key(preset(), key)}
    # Those two are of other schedules, and of other predictors.
    assert differing == ADDED_LATER - {"optim.warmup_rounding", "gaze.predictor_units"}
    assert all(get_key(old, key) == get_key(Config(), key) for key in ADDED_LATER)
    assert Config.model_validate(old.model_dump(mode="json")) == old


@pytest.mark.parametrize("schedule", ["constant_with_warmup", "linear"])
def test_schedules_of_the_trainer_round_their_warm_up_and_count_steps_as_it_does(schedule: str) -> None:
    assert preset().optim.warmup_rounding == "down"
    trainers = preset(optim={"schedule": schedule}).optim
    assert (trainers.warmup_rounding, trainers.schedule_length) == ("up", "steps")


@pytest.mark.parametrize(
    ("predictor", "units"), [("bilstm", "reference"), ("roberta", "reference"), ("lexical", "words")]
)
def test_published_predictors_have_the_references_units(predictor: str, units: str) -> None:
    features = ["TRT"]
    assert preset(gaze={"predictor": predictor, "features": features}).gaze.predictor_units == units
    assert Config.model_validate({"gaze": {"predictor": predictor}}).gaze.predictor_units == "words"


@pytest.mark.parametrize(("kind", "most"), [("concat", 1350), ("none", 1350), ("add", None)])
def test_with_predictor_2_the_baseline_is_cut_where_concat_is(kind: str, most: int | None) -> None:
    assert preset(gaze={"predictor": "roberta"}, fusion={"kind": kind}).data.max_tokens == most
    assert preset(gaze={"predictor": "bilstm"}, fusion={"kind": kind}).data.max_tokens is None


def test_what_peft_froze_trains_where_there_is_no_peft() -> None:
    assert preset(adapter={"kind": "dora"}).fusion.freeze
    assert not preset(adapter={"kind": "full"}).fusion.freeze
    assert not preset(adapter={"kind": "auto"}).fusion.freeze  # tiny trains whole
    assert preset(backbone="org/model", adapter={"kind": "auto"}).fusion.freeze
    assert preset(adapter={"kind": "full"}, fusion={"freeze": True}).fusion.freeze
    assert not preset(fusion={"freeze": False}).fusion.freeze


def test_the_reference_quantizes_where_that_can_be_done() -> None:
    there = "nf4" if has_bitsandbytes() else "none"
    assert preset(backbone="org/model").adapter.quantization == there
    assert preset(backbone="org/model", adapter={"quantization": "none"}).adapter.quantization == "none"
    for other in (
        {},
        {"backbone": "org/model", "adapter": {"kind": "full"}},
        {"backbone": "org/model", "deepspeed": {"stage": 3}},
    ):
        assert preset(**other).adapter.quantization == "none"


def test_gaze_tokens_of_predictor_2_cap_the_tokens() -> None:
    assert preset(gaze={"predictor": "roberta"}).data.max_tokens == 1350
    assert preset(gaze={"predictor": "roberta"}, data={"max_tokens": None}).data.max_tokens is None
    assert preset(gaze={"predictor": "roberta"}, fusion={"kind": "add"}).data.max_tokens is None
    assert preset(gaze={"predictor": "bilstm"}).data.max_tokens is None
    assert preset("corrected", gaze={"predictor": "roberta"}, fusion={"kind": "concat"}).data.max_tokens is None


@pytest.mark.parametrize("name", ["corrected", "reference"])
def test_the_written_config_says_everything(name: str, tmp_path: Path) -> None:
    config = preset(name, gaze={"predictor": "roberta"}, data={"invert_oasst1": False})
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config))
    assert load_config(file) == config
    # Whatever a preset comes to mean later: the written keys are all given.
    plain = file.read_text().replace(f"preset: {name}\n", "")
    assert load_config(_written(tmp_path, plain)).model_copy(update={"preset": name}) == config


def _written(folder: Path, text: str) -> Path:
    file = folder / "written.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("section", ["adapter", "gaze", "fusion"])
def test_a_section_that_is_no_mapping_is_refused_with_a_preset_too(section: str) -> None:
    with pytest.raises(InputError, match=f"{section}: 3 is not accepted"):
        build_config({"preset": "reference", section: 3}, "run.yaml")


@pytest.mark.parametrize(
    ("value", "hint"), [("referense", "did you mean 'reference'?"), (7, "accepted: corrected, reference")]
)
def test_an_unknown_preset_is_one_line_that_names_the_near_one(value: Any, hint: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(f"data: {{pairs: 3}}\npreset: {value}\n")
    with pytest.raises(InputError) as caught:
        load_config(file)
    shown = f'"{value}"' if isinstance(value, str) else value
    assert str(caught.value) == f"{file}:2: preset: {shown} is not accepted: {hint}"


SPACE = """
name: small
preset: reference
base: {gaze: {predictor: planted}, fusion: {scale: learned}}
space:
  optim.learning_rate: {log_uniform: [1.0e-6, 1.0e-4]}
  adapter.kind: {choice: [lora, full]}
  gaze.normalise: {choice: [true, false]}
"""


def test_a_space_has_its_preset_at_the_top_and_trials_take_it(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SPACE)
    space = read_space(file)
    trial = space.trial_config({"optim.learning_rate": 1e-5, "adapter.kind": "full", "gaze.normalise": True})
    assert (trial.preset, trial.train.pool, trial.fusion.scale, trial.gaze.normalise) == (
        "reference",
        "last_padded",
        "learned",
        True,
    )
    # A default that hangs on another key is that of the trial's key.
    assert not trial.fusion.freeze and space.trial_config({"adapter.kind": "lora"}).fusion.freeze
    again = tmp_path / "again.yaml"
    again.write_text(space.to_yaml())
    assert read_space(again).base == space.base
    assert read_space(file, overrides=["preset=corrected"]).config.train.pool == "last"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("preset: reference", "preset: referense"), ":3: preset: .* did you mean 'reference'"),
        (("base: {", "base: {preset: corrected, "), ":3: preset: stands both here and in base; keep one"),
        (
            ("adapter.kind: {choice: [lora, full]}", "preset: {choice: [corrected, reference]}"),
            "preset holds for the whole search and cannot be searched",
        ),
        (("predictor: planted", "predictor: recorded"), "gaze.context: chat: .* accepted: message"),
        (("scale: learned}", "scale: learned}, train: {batching: packed}"), "last_padded reads padding"),
    ],
)
def test_a_space_with_a_wrong_preset_is_refused(change: tuple[str, str], says: str, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SPACE.replace(*change))
    with pytest.raises(InputError, match=says):
        read_space(file)


def test_an_override_may_name_the_preset() -> None:
    config = build_config(apply_overrides({}, ["preset=reference", "fusion.freeze=false"]), "defaults")
    assert (config.preset, config.train.pool, config.fusion.freeze) == ("reference", "last_padded", False)


def test_the_page_about_presets_names_every_defect_switch_and_tests_that_there_are() -> None:
    page = (ROOT / "docs" / "presets.md").read_text()
    assert re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE) == [str(number) for number in range(1, 13)]
    for key in SWITCHES:
        assert f"`{key}" in page, key
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    assert len(named) >= 20
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), flags=re.MULTILINE), f"{file}::{test}"
