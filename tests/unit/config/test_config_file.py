"""YAML to Config and back; every mistake is one line with file, line, key, value and what is accepted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetune.config import Config
from gazetune.config.config_file import (
    apply_overrides,
    build_config,
    dump_config,
    load_config,
    with_absolute_paths,
    write_config,
)
from gazetune.errors import InputError


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def mistake(folder: Path, text: str, *overrides: str) -> str:
    """Return the error line of a config, without its folder."""
    with pytest.raises(InputError) as caught:
        load_config(write(folder, text), overrides)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(f"{folder}{os.sep}", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "run.yaml: the file is empty"),
        ("# nothing\n", "run.yaml: the file is empty"),
        ("[1, 2]", "run.yaml:1: a YAML mapping is needed, this is a list"),
        ("data:\n  source: [x", "run.yaml:2: not YAML"),
        ("data: {seed: 1}\noptim: {}\ndata: {}", "run.yaml:3: the key 'data' stands twice, first on line 1"),
        ("data:\n  seed: 1\n  seed: 2", "run.yaml:3: the key 'data.seed' stands twice, first on line 2"),
        ("on: 1", "run.yaml:1: the key 'on' is read as no text"),
        ("x: !!python/object/apply:os.getcwd []", "run.yaml:1: not YAML: could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_config_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert mistake(tmp_path, text).startswith(expected)


def test_an_anchor_that_contains_itself_ends(tmp_path: Path) -> None:
    assert "an anchor holds itself" in mistake(tmp_path, "a: &x {b: *x}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "optim:\n  lernin_rate: 1",
            "run.yaml:2: unknown key 'optim.lernin_rate'; did you mean 'optim.learning_rate'?",
        ),
        ("\nlearning_rate: 1", "run.yaml:2: unknown key 'learning_rate'; did you mean 'optim.learning_rate'?"),
        (
            "optim.learning_rate: 1",
            "run.yaml:1: unknown key 'optim.learning_rate'; write it as a section: optim: {learning_rate: ...}",
        ),
        ("optim:\n  learning_rate: -1", "run.yaml:2: optim.learning_rate: -1 is not accepted; accepted: a number > 0"),
        (
            "gaze:\n  features: [1, 0, 1, 0]",
            "run.yaml:2: gaze.features: [1, 0, 1, 0] is not accepted: a feature mask "
            "has 5 flags (nFix, FFD, GPT, TRT, fixProp), got 4",
        ),
        (
            "gaze: {control: shufled}",
            'run.yaml:1: gaze.control: "shufled" is not accepted; accepted: none, shuffled, noise, constant',
        ),
        (
            "projector: {dropout: [0.1, 1.5]}",
            "run.yaml:1: projector.dropout: [0.1, 1.5] is not accepted; accepted: "
            "a list of 2, each a number >= 0 and < 1",
        ),
        ("fusion: {scale: -1}", "run.yaml:1: fusion.scale: -1 is not accepted; accepted: learned or a number > 0"),
        (
            "adapter: lora",
            'run.yaml:1: adapter: "lora" is not accepted; accepted: a mapping with the keys kind, r, '
            "alpha, dropout, targets, quantization, double_quantization",
        ),
        (
            "train:\n  early_stop: 3",
            "run.yaml:2: train.early_stop: 3 is not accepted; accepted: a mapping with the "
            "keys patience, min_delta, metric or null",
        ),
        (
            "train:\n  early_stop:\n    patince: 3",
            "run.yaml:3: unknown key 'train.early_stop.patince'; did you mean 'train.early_stop.patience'?",
        ),
        (
            "train:\n  early_stop:\n    patience: 0",
            "run.yaml:3: train.early_stop.patience: 0 is not accepted; accepted: an integer >= 1",
        ),
        (
            "loss: {margin: scores}",
            'run.yaml:1: loss.margin: "scores" is not accepted; accepted: none, score or a number >= 0',
        ),
        (
            "optim: {learning_rate: a, weight_decay: -1}\ntrain: {x: 1}",
            'run.yaml:1: optim.learning_rate: "a" is not accepted; accepted: a number > 0 (and 2 more)',
        ),
    ],
)
def test_a_wrong_value_is_one_line_with_what_is_accepted(tmp_path: Path, text: str, expected: str) -> None:
    assert mistake(tmp_path, text) == expected


def test_a_union_with_two_complaints_counts_as_one_mistake(tmp_path: Path) -> None:
    assert "more)" not in mistake(tmp_path, "adapter: {targets: 3}")


def test_a_section_without_keys_has_its_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "optim:\ndata: {seed: 3}")).optim == Config().optim


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("fusion", "--set fusion: expected dotted.key=value"),
        ("=3", "--set =3: expected dotted.key=value"),
        ("gaze.fetures=1", "unknown key 'gaze.fetures'; did you mean 'gaze.features'?"),
        ("gaze=1", "'gaze' is a section"),
        ("data.splits=[", "--set data.splits=[: the value is not YAML: while parsing"),
        (
            "train.early_stop.patince=3",
            "unknown key 'train.early_stop.patince'; did you mean 'train.early_stop.patience'",
        ),
        ("search.confirm=fast", 'search.confirm: "fast" is not accepted: it is off, quick, full, or a mapping'),
        ("search.confirm=true", "search.confirm: true is not accepted: it is off, quick, full, or a mapping"),
        ("search.confirm.tops=3", "did you mean 'search.confirm.top'"),
        ("search.confirm.folds=1", "search.confirm.folds: 1 is not accepted; accepted: an integer >= 2"),
        ("search.confirm.controls=[noise, noise]", "is not accepted: a control stands there twice"),
        ("train.fold={number: 5, of: 4}", "is not accepted: there is no fold 5 of 4"),
        ("train.early_stop.patience=0", "--set: train.early_stop.patience: 0 is not accepted"),
        ("optim.learning_rate=-3", "--set: optim.learning_rate: -3 is not accepted"),
    ],
)
def test_a_wrong_override_is_refused(tmp_path: Path, override: str, expected: str) -> None:
    assert expected in mistake(tmp_path, "data: {seed: 1}", override)


def test_an_override_wins_over_the_file_and_the_last_one_over_the_first(tmp_path: Path) -> None:
    path = write(tmp_path, "optim: {learning_rate: 1e-3, weight_decay: 0.2}")
    config = load_config(
        path,
        [
            "optim.learning_rate=1e-5",
            "optim.learning_rate=1e-6",
            "gaze.features=TRT,FFD",
            "data.split=",
            "projector.dropout=[0, 0.5]",
            "data.source=a=b",
        ],
    )
    assert (config.optim.learning_rate, config.optim.weight_decay) == (1e-6, 0.2)
    assert config.gaze.features == ("FFD", "TRT")
    assert (config.data.split, config.projector.dropout, config.data.source) == (None, (0.0, 0.5), "a=b")


def test_an_override_reaches_into_a_mapping_that_is_off_by_default(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "train: {epochs: 2}"), ["train.early_stop.patience=7"])
    assert config.train.early_stop is not None and config.train.early_stop.patience == 7
    assert load_config(write(tmp_path, dump_config(config))) == config


def test_apply_overrides_leaves_its_argument_alone() -> None:
    tree = {"data": {"seed": 1}}
    assert apply_overrides(tree, ["data.seed=2", "deepspeed.override.a.b=1"])["data"] == {"seed": 2}
    assert tree == {"data": {"seed": 1}}


def test_local_paths_become_absolute_and_uris_and_hub_ids_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").touch()
    config = load_config(None, ["data.source=pairs.jsonl", "backbone=owner/name", "gaze.store=yet/to/be/made"])
    found = with_absolute_paths(config)
    assert (found.data.source, found.backbone) == (str(tmp_path / "pairs.jsonl"), "owner/name")
    assert found.gaze.store == str(tmp_path / "yet/to/be/made")
    for store in ("s3://bucket/gaze", None):
        gaze = config.gaze.model_copy(update={"store": store})
        assert with_absolute_paths(config.model_copy(update={"gaze": gaze})).gaze.store == store


def test_a_written_config_reads_back_equal_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.yaml"
    for seed in (1, 2):
        config = build_config({"data": {"seed": seed}, "backbone": "1e-4", "gaze": {"features": ["TRT"]}}, "test")
        write_config(config, path)
        assert load_config(path) == config
    assert [file.name for file in path.parent.iterdir()] == ["config.yaml"]


def test_a_config_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_config(Config(), tmp_path / "file" / "config.yaml")


_texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
_values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts


@settings(deadline=None)  # how long it takes is for tests/bench
@given(
    source=_texts | st.sampled_from(["1e-4", "yes", "null", "0,1", "2024-01-01", "a: b", "#x"]),
    rate=st.floats(min_value=1e-12, max_value=1e3),
    override=st.dictionaries(_texts, _values | st.lists(_values, max_size=3), max_size=4),
)
def test_any_config_survives_being_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, source: str, rate: float, override: dict[str, object]
) -> None:
    config = Config(data={"source": source}, optim={"learning_rate": rate}, deepspeed={"override": override})
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config


@pytest.mark.parametrize(
    "entry",
    [
        *("train.epochs=true", "search.trials=on", "data.fold=yes", "deepspeed.stage=true", "search.max_hours=true"),
        *("projector.dropout=[true, 0.1]", "train.early_stop.patience=true", "optim.learning_rate=.inf"),
        *("optim.learning_rate=1e400", "search.node_patience=.inf", "search.max_hours=1:30", "train.batch_size=1:30"),
    ],
)
def test_what_is_no_number_is_none(entry: str) -> None:
    with pytest.raises(InputError, match=r"^--set: \S+: .* is not accepted"):
        load_config(None, [entry])


def test_switches_and_masks_take_true_and_false() -> None:
    config = load_config(None, ["train.gradient_checkpointing=on", "gaze.features=[on, off, on, off, on]"])
    assert config.train.gradient_checkpointing and config.gaze.features == ("nFix", "GPT", "fixProp")
    override = load_config(None, ["deepspeed.override.wall_clock_breakdown=true"]).deepspeed.override
    assert override == {"wall_clock_breakdown": True}
