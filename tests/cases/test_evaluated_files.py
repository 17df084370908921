"""`gazetune train --mode evaluate -d FILE` scores every row of the file, with the model's own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gazetune.cli.main import build_parser
from gazetune.cli.train import given_data_keys, read_config
from gazetune.preferences.splits import load_splits
from gazetune.reward.saved.reward_scorer import RewardScorer
from gazetune.reward.saved.saved_model import read_saved_config
from gazetune.train.scoring.evaluate_saved_model import evaluate_saved_model
from tests.cases.pair_files import make_rows, write_rows
from tests.saved_models import save_untrained_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return save_untrained_model(folder / "best", folder / "cache")


def evaluate(model: Path, storage: Path, *arguments: str | Path) -> dict[str, Any]:
    line = ["train", "--mode", "evaluate", "-m", str(model), *map(str, arguments)]
    args = build_parser().parse_args(line)
    return dict(evaluate_saved_model(model, storage, read_config(args, model), given_data_keys(args)))


def accuracy(model: Path, rows: Sequence[dict[str, Any]]) -> float:
    """Return the accuracy by the scorer, pair by pair."""
    scorer = RewardScorer.from_pretrained(model)
    right = 0.0
    for row in rows:
        chats = [
            [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[key]}]
            for key in ("chosen", "rejected")
        ]
        chosen, rejected = scorer.score(chats).tolist()
        right += chosen > rejected
    return right / len(rows)


@pytest.mark.parametrize("name", ["filtered.parquet", "pairs.jsonl", "test.jsonl.gz"])
def test_every_row_of_a_file_is_scored(name: str, model: Path, tmp_path: Path) -> None:
    rows = [{**row, "subset": "easy", "id": number} for number, row in enumerate(make_rows(100))]
    found = evaluate(model, tmp_path, "-d", write_rows(tmp_path / name, rows))
    assert found["test"]["n"] == 100 and found["data"]["pairs"] == {"test": 100}
    assert found["test"]["accuracy"] == pytest.approx(accuracy(model, rows))
    assert found["data"]["notes"] == {"columns that are not read: subset, id": 100}


def test_how_many_are_scored_is_said(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows(tmp_path / "p.jsonl", make_rows(30))
    evaluate(model, tmp_path, "-d", path)
    told = " ".join(capsys.readouterr().err.split())
    assert f"scoring 30 pairs: all of {path}".replace(" ", "") in told.replace(" ", "")


def test_limits_of_the_training_leave_no_row_out_and_given_ones_do(model: Path, tmp_path: Path) -> None:
    # The model was trained with data.pairs 20 and data.max_chars 10000.
    rows = make_rows(40)
    rows[3].update(chosen="Good. " * 1200, rejected="Good. " * 1201)
    path = write_rows(tmp_path / "p.jsonl", rows)
    assert evaluate(model, tmp_path, "-d", path)["test"]["n"] == 40
    assert evaluate(model, tmp_path, "-d", path, "--set", "data.pairs=7")["test"]["n"] == 7
    found = evaluate(model, tmp_path, "-d", path, "--set", "data.max_chars=1000")
    assert found["test"]["n"] == 39 and found["data"]["dropped"] == {"longer than max_chars": 1}


def test_a_published_test_split_or_the_split_that_is_named_is_scored_whole(model: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "set" / "train.jsonl", make_rows(60))
    write_rows(tmp_path / "set" / "test.jsonl", make_rows(20, start=100))
    assert evaluate(model, tmp_path, "-d", tmp_path / "set")["test"]["n"] == 20
    assert evaluate(model, tmp_path, "-d", tmp_path / "set", "--set", "data.split=train")["test"]["n"] == 60


def test_a_division_that_is_asked_for_is_made(model: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.jsonl", make_rows(100))
    found = evaluate(model, tmp_path, "-d", path, "--set", "data.splits=[0.4,0.3,0.3]")
    assert 10 < found["test"]["n"] < 50


def test_pairs_of_the_training_are_told(model: Path, tmp_path: Path) -> None:
    trained = load_splits(read_saved_config(model).data).train
    rows = [{"prompt": each.prompt[0].content, "chosen": each.chosen, "rejected": each.rejected} for each in trained]
    found = evaluate(model, tmp_path, "-d", write_rows(tmp_path / "p.jsonl", [*rows[:5], *make_rows(10)]))
    assert found["test"]["n"] == 15
    assert found["data"]["notes"] == {"the model was trained on some of these pairs": 5}


def test_its_own_data_is_its_own_test_split(model: Path, tmp_path: Path) -> None:
    found = evaluate(model, model.parent)
    assert found["test"]["n"] == len(load_splits(read_saved_config(model).data).test)


def test_ties_of_tokens_are_no_pairs_to_score(model: Path, tmp_path: Path) -> None:
    rows = make_rows(10)
    rows[0].update(chosen="word " * 300 + "a", rejected="word " * 300 + "b")
    path = write_rows(tmp_path / "p.jsonl", rows)
    found = evaluate(model, tmp_path, "-d", path, "--set", "data.max_tokens=200")
    assert found["test"]["n"] == 9
    assert found["data"]["dropped"] == {"equal tokens, cut off by data.max_tokens": 1}


def test_the_case_of_a_benchmark_is_scored_on_all_of_it(model: Path, tmp_path: Path, shared: Path) -> None:
    found = evaluate(model, tmp_path, "-d", shared / "cases" / "A03_rewardbench" / "filtered.parquet")
    assert found["test"]["n"] == 100 and json.dumps(found)
