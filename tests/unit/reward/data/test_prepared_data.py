"""The prepared data set: what it holds, when it is made anew, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.files.replaced_folder import partial_folder
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import SPLITS, PreparedData
from gazetune.reward.data.prepared_data import list_named_keys, preparation_key, prepare_data
from gazetune.reward.layout.batching import ARRAYS, EncodedSplit

BackboneFolder = Callable[..., Path]


def changed(config: Config, **sections: Any) -> Config:
    tree = config.model_dump(mode="json")
    for section, values in sections.items():
        tree[section] = {**tree[section], **values} if isinstance(values, dict) else values
    return Config.model_validate(tree)


def pair_file(path: Path, rows: int = 40, **texts: str) -> Path:
    """A JSONL file of pairs; `texts` replaces keys of its third row."""
    pairs = [
        {"prompt": f"What about number {row}?", "chosen": f"It is {row}, surely.", "rejected": f"No idea of {row}."}
        for row in range(1, rows + 1)
    ]
    pairs[2].update(texts)
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return path


def units_of(split: EncodedSplit, row: int) -> slice:
    return slice(split.unit_starts[row], split.unit_starts[row + 1])


def tokens_of(split: EncodedSplit, row: int) -> slice:
    return slice(split.token_starts[row], split.token_starts[row + 1])


def made_again(config: Config, cache: Path) -> bool:
    stages: list[str] = []
    prepare_data(config, cache, lambda stage, done, total: stages.append(stage))
    return bool(stages)


def test_it_holds_every_pair_chosen_then_rejected(planted_config: Config, planted: PreparedData) -> None:
    splits = load_splits(planted_config.data)
    tokenizer = planted.load_tokenizer()
    for name in SPLITS:
        pairs, split = getattr(splits, name), getattr(planted, name)
        assert len(split) == len(pairs) == planted.facts.pairs[name]
        for row, reply in ((0, pairs[0].chosen), (1, pairs[0].rejected), (2 * len(pairs) - 1, pairs[-1].rejected)):
            prompt = pairs[row // 2].prompt[0].content
            text = tokenizer.decode(split.ids[tokens_of(split, row)], clean_up_tokenization_spaces=False)
            assert text == f"<|user|>{prompt}<|end|><|assistant|>{reply}<|end|>"


def test_units_are_the_words_of_all_messages_in_order(planted_config: Config, planted: PreparedData) -> None:
    splits = load_splits(planted_config.data)
    tokenizer = planted.load_tokenizer()
    for row, pair in ((0, splits.train[0]), (6, splits.train[3])):
        words = [*pair.prompt[0].content.split(), *pair.chosen.split()]
        assert units_of(planted.train, row).stop - units_of(planted.train, row).start == len(words)
        ids, owner = (array[tokens_of(planted.train, row)] for array in (planted.train.ids, planted.train.token_unit))
        spelled = [tokenizer.decode(ids[owner == unit]).strip() for unit in range(len(words))]
        assert spelled == words


def test_facts_tell_where_the_data_came_from(planted_config: Config, planted: PreparedData) -> None:
    splits = load_splits(planted_config.data)
    assert planted.facts.data_fingerprint == splits.fingerprint
    assert planted.facts.bayes == splits.bayes
    assert planted.facts.gaze_fingerprint == "planted-seed0-1"
    words = [[len(pair.chosen.split()), len(pair.rejected.split())] for pair in splits.test]
    assert planted.response_words("test").tolist() == words


def test_statistics_are_those_of_the_training_split_alone(planted: PreparedData) -> None:
    seen = planted.train.values[planted.train.unit_index].astype(np.float64)
    np.testing.assert_allclose(planted.facts.gaze_mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(planted.facts.gaze_sd, seen.std(0), rtol=1e-5)
    everything = planted.train.values.astype(np.float64)
    assert np.abs(everything.mean(0) / planted.facts.gaze_mean - 1).max() > 1e-3


def test_a_second_call_opens_what_the_first_made(planted_config: Config, planted: PreparedData, cache: Path) -> None:
    assert not made_again(planted_config, cache)
    assert prepare_data(planted_config, cache).folder == planted.folder


def test_a_group_column_names_other_data_and_none_leaves_the_name_as_it_was(tmp_path: Path) -> None:
    config = Config.model_validate({"data": {"source": str(pair_file(tmp_path / "pairs.jsonl"))}})
    assert preparation_key(changed(config, data={"group": "reader"})) != preparation_key(config)
    assert "group" not in list_named_keys(config.data)  # as before there was this key
    assert list_named_keys(changed(config, data={"group": "reader"}).data)["group"] == "reader"


@pytest.mark.parametrize(
    "change",
    [
        {"gaze": {"features": ["FFD"]}},
        {"fusion": {"kind": "concat"}},
        {"train": {"seed": 7}},
        {"optim": {"learning_rate": 1e-3}},
        {"projector": {"dropout": [0.0, 0.0]}},
    ],
)
def test_what_a_trial_varies_shares_one_preparation(change: dict, planted_config: Config) -> None:
    assert preparation_key(changed(planted_config, **change)) == preparation_key(planted_config)


@pytest.mark.parametrize(
    "change",
    [
        {"gaze": {"align": "first"}},
        {"gaze": {"scope": "response"}},
        {"gaze": {"control": "shuffled"}},
        {"gaze": {"noise": 1.0}},
        {"gaze": {"predictor": "lexical"}},
        {"data": {"seed": 1}},
        {"data": {"subsample": 0.5}},
        {"backbone": "elsewhere"},
    ],
)
def test_what_changes_the_arrays_changes_the_folder(change: dict, planted_config: Config) -> None:
    assert preparation_key(changed(planted_config, **change)) != preparation_key(planted_config)


def test_a_changed_source_file_is_prepared_anew(planted_config: Config, tmp_path: Path) -> None:
    path = pair_file(tmp_path / "pairs.jsonl")
    config = changed(planted_config, data={"source": str(path), "pairs": None})
    assert made_again(config, tmp_path / "cache")
    assert not made_again(config, tmp_path / "cache")
    pair_file(path, chosen="Something else.")
    assert made_again(config, tmp_path / "cache")


def test_a_file_changed_deep_in_a_source_folder_is_noticed(planted_config: Config, tmp_path: Path) -> None:
    path = tmp_path / "source" / "en" / "train.jsonl"
    path.parent.mkdir(parents=True)
    config = changed(planted_config, data={"source": str(tmp_path / "source"), "pairs": None})
    before = preparation_key(config), pair_file(path)
    first = preparation_key(config)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert len({before[0], first, preparation_key(config)}) == 3


def test_the_rest_of_a_killed_preparation_is_not_taken_for_finished(planted_config: Config, tmp_path: Path) -> None:
    config = changed(planted_config, data={"pairs": 60})
    folder = tmp_path / "prepared" / preparation_key(config)
    partial = partial_folder(folder)
    partial.mkdir(parents=True)
    (partial / "facts.json").write_text("{")
    data = prepare_data(config, tmp_path)
    assert data.folder == folder
    assert not partial.exists()


def test_response_scope_gives_prompts_no_units(planted_config: Config, planted: PreparedData, cache: Path) -> None:
    scoped = prepare_data(changed(planted_config, gaze={"scope": "response"}), cache)
    reply_begins = scoped.load_tokenizer().convert_tokens_to_ids("<|assistant|>")
    words = scoped.response_words("train")
    for row in range(20):
        at = tokens_of(scoped.train, row)
        begin = int(np.flatnonzero(scoped.train.ids[at] == reply_begins)[0])
        owner = scoped.train.token_unit[at]
        assert (owner[: begin + 1] == -1).all()
        assert set(owner[begin + 1 : -1].tolist()) == set(range(words[row // 2, row % 2]))
        assert scoped.train.token_share[at][: begin + 1].sum() == 0
        own = scoped.train.values[scoped.train.unit_index[units_of(scoped.train, row)]]
        everything = planted.train.values[planted.train.unit_index[units_of(planted.train, row)]]
        np.testing.assert_array_equal(own, everything[-len(own) :])
    np.testing.assert_array_equal(scoped.train.ids, planted.train.ids)


def test_response_scope_asks_the_predictor_for_responses_alone(planted_config: Config, tmp_path: Path) -> None:
    path = pair_file(tmp_path / "pairs.jsonl")
    config = changed(planted_config, data={"source": str(path), "pairs": None}, gaze={"scope": "response"})
    asked: list[int] = []
    prepare_data(
        config, tmp_path / "cache", lambda stage, done, total: asked.append(total) if stage == "gaze" else None
    )
    assert set(asked) == {80}


def test_spread_divides_a_unit_over_its_tokens_and_first_puts_it_on_one(
    planted_config: Config, planted: PreparedData, cache: Path
) -> None:
    first = prepare_data(changed(planted_config, gaze={"align": "first"}), cache)
    np.testing.assert_array_equal(first.train.unit_index, planted.train.unit_index)
    several = 0
    for row in range(20):
        at = tokens_of(planted.train, row)
        count = units_of(planted.train, row).stop - units_of(planted.train, row).start
        spread_owner, spread_share = planted.train.token_unit[at], planted.train.token_share[at]
        owner, share = first.train.token_unit[at], first.train.token_share[at]
        for unit in range(count):
            spread = np.flatnonzero(spread_owner == unit)
            np.testing.assert_allclose(spread_share[spread], 1 / len(spread))
            assert np.flatnonzero(owner == unit).tolist() == spread[:1].tolist()
            several += len(spread) > 1
        assert set(share[owner >= 0].tolist()) == {1.0}
        assert not share[owner < 0].any()
    assert several > 0, "some word must take several tokens"


@pytest.mark.parametrize("control", ["shuffled", "noise", "constant"])
def test_controls_change_values_but_not_where_they_stand(
    control: str, planted_config: Config, planted: PreparedData, cache: Path
) -> None:
    replaced = prepare_data(changed(planted_config, gaze={"control": control}), cache)
    for split in SPLITS:
        for name in ARRAYS:
            np.testing.assert_array_equal(
                getattr(getattr(replaced, split), name), getattr(getattr(planted, split), name)
            )
    assert (replaced.train.values != planted.train.values).any(axis=1).mean() > 0.95


def test_noise_changes_every_measure_by_about_its_deviation(
    planted_config: Config, planted: PreparedData, cache: Path
) -> None:
    noisy = prepare_data(changed(planted_config, gaze={"noise": 0.5}), cache)
    large = planted.train.values[:, 4] > 10  # far from the cut at 0
    difference = (noisy.train.values - planted.train.values)[large, 4]
    assert difference.std() == pytest.approx(0.5, rel=0.05)


def test_a_text_longer_than_the_context_is_refused_with_its_row(planted_config: Config, tmp_path: Path) -> None:
    path = pair_file(tmp_path / "pairs.jsonl", chosen="word " * 9000)
    config = changed(planted_config, data={"source": str(path), "pairs": None, "max_chars": None})
    with pytest.raises(
        InputError, match=r"pairs.jsonl:3: the conversation has \d+ tokens and backbone 'tiny' takes 8192"
    ):
        prepare_data(config, tmp_path / "cache")
    assert prepare_data(changed(config, data={"max_chars": 10000}), tmp_path / "cache").facts.dropped


def test_a_fusion_that_needs_more_positions_than_the_text_is_refused_with_the_longest_row(
    planted_config: Config, planted: PreparedData, cache: Path, backbone_folder: BackboneFolder
) -> None:
    longest = max(int(np.diff(getattr(planted, split).token_starts).max()) for split in SPLITS)
    folder = backbone_folder("bert", max_position_embeddings=longest)
    config = changed(planted_config, backbone=str(folder), adapter={"kind": "full"})
    assert prepare_data(changed(config, fusion={"kind": "add"}), cache).facts.context == longest
    with pytest.raises(InputError, match=rf"planted:\d+: .* with fusion.kind concat, and backbone .* takes {longest};"):
        prepare_data(changed(config, fusion={"kind": "concat"}), cache)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"gaze": {"predictor": "recorded", "path": "absent.parquet"}}, "absent.parquet: cannot be read as Parquet"),
        ({"data": {"source": "absent.jsonl"}}, "there is no file 'absent.jsonl'"),
        ({"backbone": "./absent", "adapter": {"kind": "full"}}, "cannot load the config of './absent'"),
        ({"gaze": {"predictor": "recorded", "path": "{read}"}}, "texts have no recording"),
        ({"data": {"source": "{long}", "max_chars": None}}, "long.jsonl:3: the conversation has"),
    ],
)
def test_a_refused_preparation_leaves_nothing(
    wrong: dict[str, Any], expected: str, planted_config: Config, tmp_path: Path
) -> None:
    pair_file(tmp_path / "long.jsonl", prompt="word " * 9000)
    row = {"text_sha256": "0" * 64, "reader": "r", "word": "a", "start": 0, "end": 1, **dict.fromkeys(MEASURES, 1.0)}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "read.parquet")
    places = {"{read}": str(tmp_path / "read.parquet"), "{long}": str(tmp_path / "long.jsonl")}
    named = {
        section: {key: places.get(value, value) for key, value in values.items()}
        if isinstance(values, dict)
        else values
        for section, values in wrong.items()
    }
    with pytest.raises(InputError, match=expected):
        prepare_data(changed(planted_config, **named), tmp_path / "runs" / "cache")
    kept = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    # Measures of texts that were predicted before the refusal are as good as any.
    assert all(path.match("cache/gaze/*/*") for path in kept) and bool(kept) == ("long" in expected)
    assert not (tmp_path / "runs" / "cache" / "prepared").exists()


def test_a_refusal_leaves_what_others_prepared(planted_config: Config, planted: PreparedData, cache: Path) -> None:
    before = sorted(cache.rglob("*"))
    with pytest.raises(InputError, match=r"absent\.parquet"):
        prepare_data(changed(planted_config, gaze={"predictor": "recorded", "path": "absent.parquet"}), cache)
    assert sorted(cache.rglob("*")) == before
    assert not made_again(planted_config, cache)
