"""`data.group`: pairs with the same value in a column of the user's own file are never divided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gazetune.config import DataConfig
from gazetune.errors import InputError
from gazetune.preferences.splits import Splits, load_splits


def _write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _rows(count: int = 400, readers: int = 40) -> list[dict[str, Any]]:
    return [
        {"prompt": f"Question {i}?", "chosen": f"Good {i}.", "rejected": f"Bad {i}.", "reader": i % readers}
        for i in range(count)
    ]


def _readers(splits: Splits) -> list[set[int]]:
    parts = (splits.train, splits.validation, splits.test)
    return [{int(pair.prompt[0].content[9:-1]) % 40 for pair in part} for part in parts]


def test_no_reader_stands_in_two_splits(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", _rows())
    train, validation, test = _readers(load_splits(DataConfig(source=source, group="reader")))
    assert not train & validation and not train & test and not validation & test
    by_prompt = _readers(load_splits(DataConfig(source=source)))
    assert by_prompt[0] & by_prompt[2]


def test_a_fold_keeps_readers_whole_too(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", _rows())
    train, validation, test = _readers(load_splits(DataConfig(source=source, group="reader", fold=2)))
    assert test and not test & (train | validation)


def test_pairs_of_one_prompt_stay_together_beside_those_of_one_reader(tmp_path: Path) -> None:
    rows = _rows()
    for row in rows[:2]:
        row["prompt"] = "The same?"  # of the readers 0 and 1
    splits = load_splits(DataConfig(source=_write(tmp_path / "pairs.jsonl", rows), group="reader"))
    whose = [
        {row["reader"] for row in rows for pair in part if pair.chosen == row["chosen"]}
        for part in (splits.train, splits.validation, splits.test)
    ]
    assert sum(bool({0, 1} & readers) for readers in whose) == 1


def test_of_published_splits_the_readers_of_test_leave_train(tmp_path: Path) -> None:
    _write(tmp_path / "data" / "train.jsonl", _rows(200))
    _write(tmp_path / "data" / "test.jsonl", [{**row, "prompt": f"New {row['prompt']}"} for row in _rows(10)])
    splits = load_splits(DataConfig(source=str(tmp_path / "data"), group="reader"))
    assert splits.dropped == {"reader in test": 50}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reder": 1}, r"pairs\.jsonl:3: data\.group: there is no column 'reader'; did you mean 'reder'\?"),
        ({"reader": None}, r"pairs\.jsonl:3: data\.group: column 'reader' names no group, got None"),
        ({"reader": " "}, r"column 'reader' names no group, got ' '; accepted: text or a whole number"),
        ({"reader": True}, r"names no group, got True"),
        ({"reader": 1.5}, r"names no group, got 1\.5"),
    ],
)
def test_a_row_without_a_group_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    rows = _rows(10)
    if "reader" not in change:
        del rows[2]["reader"]
    rows[2].update(change)
    config = DataConfig(source=_write(tmp_path / "pairs.jsonl", rows), group="reader")
    with pytest.raises(InputError, match=said):
        load_splits(config)


def test_pairs_that_have_no_columns_of_the_user_take_no_group(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.group: reader: planted pairs have no columns"):
        load_splits(DataConfig(group="reader"))
    row = {"prompt": "Why?", "response": "So.", "helpfulness": 1, "reader": "a"}
    row |= dict.fromkeys(("correctness", "coherence", "complexity", "verbosity"), 1)
    source = _write(tmp_path / "helpsteer.jsonl", [row, row])
    with pytest.raises(InputError, match=r"data\.group: reader: pairs of nvidia/HelpSteer2 are divided by its own"):
        load_splits(DataConfig(source=source, group="reader"))


def test_the_column_is_not_told_as_one_that_is_not_read(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", _rows())
    assert load_splits(DataConfig(source=source)).notes == {"columns that are not read: reader": 400}
    assert load_splits(DataConfig(source=source, group="reader")).notes == {}
