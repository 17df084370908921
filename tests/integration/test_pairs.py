"""Real preference pairs, the lexical predictor: the example scripts, and the command lines of the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.commands import gazetune_json, run_example

REFERENCE = [
    *("--concat", "True", "--use_softprompt", "True", "--learning_rate", "5e-5", "--logging_steps", "64"),
    *("--lr_scheduler_type", "cosine_with_min_lr", "--min_lr_ratio", "0.7", "--batch_size", "8"),
    *("--fp_dropout", "0.1,0.3", "--seed", "44"),
]
SMALL = ["--set", "data.pairs=400", "--set", "data.max_chars=1500", "--set", "search.confirm=off"]


@pytest.fixture(scope="module")
def searched(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The document of a search that the example script ran, and what the script printed."""
    storage = tmp_path_factory.mktemp("runs")
    source = shared / "data" / "hh_harmless_pairs.jsonl.gz"
    printed = run_example("search_your_pairs.py", source, "--trials", "4", "--storage", storage, *SMALL)
    return json.loads((storage / "pairs" / "search.json").read_text()), printed


def test_the_pairs_space_searches_real_pairs(searched: tuple[dict[str, Any], str]) -> None:
    document, _ = searched
    assert len(document["trials"]) == 4
    client = mlflow.MlflowClient(document["tracking_uri"])
    for trial in document["trials"]:
        run = client.get_run(trial["mlflow_run"])
        assert run.data.tags["mlflow.parentRunId"] == document["mlflow_parent_run"]
    config = Path(document["storage"], "trials", "0000", "config.yaml").read_text()
    assert "predictor: lexical" in config and "workers: 2" in config and "stage: 2" in config
    test = document["best"]["test"]
    assert test["n"] >= 20 and test["ci95"][0] < test["accuracy"] < test["ci95"][1]
    assert document["baselines"]["shorter"]["n"] == test["n"]


def test_the_example_prints_the_winner_its_intervals_and_its_folder(searched: tuple[dict[str, Any], str]) -> None:
    document, printed = searched
    best = document["best"]
    assert f"test accuracy {best['test']['accuracy']:.3f}, 95 % interval" in printed
    assert f"{document['baselines']['no_gaze']['difference']:+.3f}, 95 % interval" in printed
    model = Path(printed.splitlines()[-1].removeprefix("model: "))
    assert (model / "weights.safetensors").is_file() and model.parent.name == best["id"]


def test_the_example_ranks_replies_by_the_rewards_of_the_winner(searched: tuple[dict[str, Any], str]) -> None:
    model = searched[1].splitlines()[-1].removeprefix("model: ")
    replies = ["It mirrors the sea.", "Air scatters blue light most.", "Ask somebody else."]
    lines = run_example("best_of_several.py", model, "--prompt", "Why is the sky blue?", *replies).splitlines()
    ranked = {line[9:]: float(line[:7]) for line in lines}
    assert sorted(ranked) == sorted(replies)
    assert list(ranked.values()) == sorted(ranked.values(), reverse=True) and len(set(ranked.values())) == 3


@pytest.mark.parametrize(
    ("flags", "features"),
    [
        pytest.param(["-fmv", "1"], ["TRT"], marks=pytest.mark.long("training")),
        (["-fmv", "2", "--features_used", "0,1,0,1,0"], ["FFD", "TRT"]),
    ],
)
def test_the_references_command_lines_train_and_evaluate(
    flags: list[str], features: list[str], shared: Path, tmp_path: Path
) -> None:
    source = shared / "data" / "hh_harmless_pairs.jsonl.gz"
    result = gazetune_json("train", "-d", source, "-m", "tiny", *REFERENCE, *flags, *SMALL, "--storage", tmp_path)
    assert result["test"]["n"] >= 20
    assert 0.0 <= result["test"]["accuracy"] <= 1.0
    assert result["shorter"]["n"] == result["test"]["n"]
    folder = Path(result["folder"])
    assert (folder / "best" / "weights.safetensors").is_file()
    config = (folder / "config.yaml").read_text()
    assert f"features: [{', '.join(features)}]" in config and "kind: concat" in config
    # `--mode evaluate` scores the saved folder on the same test pairs and finds the same.
    again = gazetune_json("train", "--mode", "evaluate", "-m", folder / "best", "--storage", tmp_path)
    assert again["test"] == result["test"]
