"""Pairs of which no token differs are dropped and counted, and the counts are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from tests.cases.pair_files import make_rows, write_rows


def long_and_short(count: int) -> list[dict[str, Any]]:
    """Rows of which every second one has a prompt that leaves its replies no room in 60 tokens."""
    rows = make_rows(count)
    for row in rows[1::2]:
        row["prompt"] += " Please read this long story about a spider with many legs." * 40
    return rows


def prepare(source: Path, cache: Path, **data: Any) -> PreparedData:
    config = {"data": {"source": str(source), **data}, "gaze": {"predictor": "lexical"}}
    return prepare_data(Config.model_validate(config), cache)


def test_pairs_that_are_cut_to_equal_tokens_are_dropped_and_counted(tmp_path: Path) -> None:
    data = prepare(write_rows(tmp_path / "pairs.jsonl", long_and_short(120)), tmp_path / "cache", max_tokens=60)
    assert data.facts.dropped == {"equal tokens, cut off by data.max_tokens": 60}
    assert sum(data.facts.pairs.values()) == 60
    for name in ("train", "validation", "test"):
        split = getattr(data, name)
        assert len(split) == data.facts.pairs[name] == len(split.scores) == len(data.response_words(name))
        texts = [
            split.ids[start:end].tolist()
            for start, end in zip(split.token_starts[:-1], split.token_starts[1:], strict=True)
        ]
        assert all(chosen != rejected for chosen, rejected in zip(texts[::2], texts[1::2], strict=True))
    pairs = ", ".join(f"{split} {count}" for split, count in data.facts.pairs.items())
    assert data.facts.describe_pairs()[0] == f"pairs: {pairs}; dropped: 60 equal tokens, cut off by data.max_tokens"
    assert data.facts.count_tags() == {
        "gazetune.pairs": ", ".join(f"{count} {split}" for split, count in data.facts.pairs.items()),
        "gazetune.dropped": "60 equal tokens, cut off by data.max_tokens",
        "gazetune.notes": "none",
    }


def test_the_measures_and_words_left_are_those_of_the_pairs_that_are_left(tmp_path: Path) -> None:
    whole = write_rows(tmp_path / "pairs.jsonl", long_and_short(120))
    short = write_rows(tmp_path / "short.jsonl", long_and_short(120)[::2])
    cut, plain = (prepare(path, tmp_path / "cache", max_tokens=60) for path in (whole, short))
    assert cut.facts.pairs == plain.facts.pairs and cut.facts.data_fingerprint == plain.facts.data_fingerprint
    np.testing.assert_array_equal(cut.response_words("train"), plain.response_words("train"))


def test_where_nothing_is_dropped_the_fingerprint_is_that_of_the_splits(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "pairs.jsonl", make_rows(60))
    data = prepare(source, tmp_path / "cache", max_tokens=60)
    assert data.facts.dropped == {} and data.facts.notes == {}
    config = Config.model_validate({"data": {"source": str(source), "max_tokens": 60}})
    assert data.facts.data_fingerprint == load_splits(config.data).fingerprint


def test_pairs_that_are_cut_and_still_differ_are_told(tmp_path: Path) -> None:
    rows = [{**row, "chosen": f"Yes, {row['chosen']} " + "word " * 90} for row in make_rows(60)]
    data = prepare(write_rows(tmp_path / "pairs.jsonl", rows), tmp_path / "cache", max_tokens=60)
    assert data.facts.dropped == {} and data.facts.notes == {"conversations end at data.max_tokens": 60}


def test_a_split_of_which_nothing_is_left_names_the_key_and_leaves_nothing(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "pairs.jsonl", make_rows(60))
    with pytest.raises(InputError) as caught:
        prepare(source, tmp_path / "cache", max_tokens=2)
    count = len(load_splits(Config.model_validate({"data": {"source": str(source)}}).data).train)
    assert str(caught.value) == (
        f"data.max_tokens: 2 leaves no difference between the two texts of any of the {count} pairs of the train "
        "split; accepted: more tokens, or null"
    )
    assert not list((tmp_path / "cache" / "prepared").glob("*/facts.json"))


def test_the_case_of_cut_replies_drops_half(shared: Path, tmp_path: Path) -> None:
    data = prepare(shared / "cases" / "G01_cut_replies" / "pairs.jsonl", tmp_path, max_tokens=40)
    assert data.facts.dropped == {"equal tokens, cut off by data.max_tokens": 60}
    assert sum(data.facts.pairs.values()) == 60
    assert json.loads((data.folder / "facts.json").read_text())["dropped"] == data.facts.dropped
