"""Real preference pairs with the lexical predictor: the shipped `pairs` space and the reference's command lines."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from tests.commands import gazetune_json

REFERENCE = [
    *("--concat", "True", "--use_softprompt", "True", "--learning_rate", "5e-5", "--logging_steps", "64"),
    *("--lr_scheduler_type", "cosine_with_min_lr", "--min_lr_ratio", "0.7", "--batch_size", "8"),
    *("--fp_dropout", "0.1,0.3", "--seed", "44"),
]
SMALL = ["--set", "data.pairs=400", "--set", "data.max_chars=1500"]


def test_the_pairs_space_searches_real_pairs(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "hh_harmless_pairs.jsonl.gz"
    document = gazetune_json(
        "search", "pairs", "--set", f"data.source={source}", *SMALL, "--trials", "4", "--storage", tmp_path
    )
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
