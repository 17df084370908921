"""Every fusion on real preference pairs: it trains, saves, and scores the same in a new process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from gazetune.config import Config
from gazetune.preferences.splits import load_splits
from gazetune.reward.model.fusion_registry import fusion_names
from tests.commands import BOUND, gazetune_json

TRAIN = """
import sys
from pathlib import Path
import torch, yaml
torch.set_num_threads(1)
from gazetune.config.config_file import build_config
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.train.loop import Training
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group

worker = join_worker_group()
folder = Path(sys.argv[1])
for file in sorted(folder.glob("*.yaml")):
    config = build_config(yaml.safe_load(file.read_text()), str(file))
    data = prepare_data(config, folder / "cache")
    training = Training(config, data, folder / file.stem, worker, load_backbone("tiny", torch.float32))
    training.run(lambda report: True)
    training.close()
leave_worker_group()
"""
SCORE = """
import json, sys
from gazetune import RewardScorer
chats = json.load(sys.stdin)
print(json.dumps({name: RewardScorer.from_pretrained(name).score(chats).tolist() for name in sys.argv[1:]}))
"""
SCORE_WITH_TRANSFORMERS = """
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
inputs = tokenizer.apply_chat_template(json.load(sys.stdin), padding=True, return_tensors="pt", return_dict=True)
with torch.no_grad():
    rewards = model(**inputs).logits[:, 0]
assert not [name for name in sys.modules if name.startswith("gazetune")]
print(json.dumps(rewards.tolist()))
"""


def config_of(fusion: str, source: Path) -> Config:
    return Config.model_validate(
        {
            "data": {"source": str(source), "pairs": 60, "max_chars": 3000},
            "fusion": {"kind": fusion},
            "adapter": {"kind": "lora" if fusion == "gated" else "full"},
            "optim": {"learning_rate": 3e-3},  # so that a few steps leave the start, closed gates too
            "train": {"batch_size": 8},
        }
    )


def python(code: str, *arguments: str | Path, chats: object = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        input=json.dumps(chats),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def runs(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run of each fusion."""
    folder = tmp_path_factory.mktemp("runs")
    for fusion in fusion_names():
        config = config_of(fusion, shared / "data" / "hh_harmless_pairs.jsonl.gz")
        (folder / f"{fusion}.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    python(TRAIN, folder)
    return folder


@pytest.fixture(scope="module")
def chats(shared: Path) -> list[list[dict[str, str]]]:
    """Chosen and rejected conversations of the validation split, one pair after another."""
    pairs = load_splits(config_of("none", shared / "data" / "hh_harmless_pairs.jsonl.gz").data).validation
    return [
        [{"role": message.role, "content": message.content} for message in pair.chat_with(reply)]
        for pair in pairs
        for reply in (pair.chosen, pair.rejected)
    ]


@pytest.fixture(scope="module")
def rewards(runs: Path, chats: list[list[dict[str, str]]]) -> dict[str, list[float]]:
    """What a new process scores the conversations with, by fusion."""
    folders = {fusion: str(runs / fusion / "best") for fusion in fusion_names()}
    found = json.loads(python(SCORE, *folders.values(), chats=chats))
    return {fusion: found[folder] for fusion, folder in folders.items()}


@pytest.mark.parametrize("fusion", fusion_names())
def test_a_new_process_finds_the_margins_of_training(fusion: str, runs: Path, rewards: dict[str, list[float]]) -> None:
    kept = np.load(runs / fusion / "best" / "rewards.npy")
    found = np.array(rewards[fusion]).reshape(-1, 2)
    assert len(kept) == len(found) >= 6 and np.abs(kept[:, 0] - kept[:, 1]).max() > 0.01
    np.testing.assert_allclose(found, kept, atol=1e-5)
    progress = json.loads((runs / fusion / "last" / "progress.json").read_text())
    losses = [loss for evaluation in progress["evaluations"] for loss in evaluation["train_losses"]]
    assert len(losses) >= 4 and np.ptp(losses) > 1e-3, "it must train"


def test_the_model_without_gaze_scores_the_same_in_transformers_alone(
    runs: Path, rewards: dict[str, list[float]], chats: list[list[dict[str, str]]]
) -> None:
    out = runs / "exported"
    document = gazetune_json("export", runs / "none", "--out", out)
    model = str(runs / "none" / "best")
    assert document == {"model": model, "out": str(out), "format": "transformers", "not_in_the_folder": []}
    found = json.loads(python(SCORE_WITH_TRANSFORMERS, out, chats=chats))
    np.testing.assert_allclose(found, rewards["none"], atol=1e-5)
    assert "AutoModelForSequenceClassification" in (out / "README.md").read_text()
