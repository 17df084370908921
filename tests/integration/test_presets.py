"""The two command lines of the reference's README, under both presets: a small local file, or real pairs (long)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gazetune.config import Config
from gazetune.config.config_file import load_config
from gazetune.preferences.splits import load_splits
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.tiny import tiny_backbone
from tests.commands import gazetune_json

COMMON = [
    *("--concat", "True", "--use_softprompt", "True", "--learning_rate", "5e-5", "--logging_steps", "64"),
    *("--lr_scheduler_type", "cosine_with_min_lr", "--min_lr_ratio", "0.7", "--batch_size", "8"),
    *("--fp_dropout", "0.1,0.3", "--seed", "44"),
]
LINES = {
    "helpsteer2": [*COMMON, "-fmv", "1"],
    "oasst1": [*COMMON, "-fmv", "2", "--features_used", "0,1,0,1,0"],
}
ADJECTIVES = ("short", "honest", "wrong", "careful", "strange", "plain", "useful")


def reply(number: int, rank: int) -> str:
    words = [ADJECTIVES[(number * 3 + rank * 5 + place) % len(ADJECTIVES)] for place in range(2 + (number + rank) % 6)]
    return f"Answer of rank {rank} to {number}: {', '.join(words)}."


def helpsteer2(number: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"What is number {number}?", "response": reply(number, rank), "helpfulness": 4 - rank}
        for rank in (0, 2)
    ]


def oasst1(number: int) -> list[dict[str, Any]]:
    common = {"message_tree_id": f"t{number}", "lang": "en", "deleted": False}
    question = {"message_id": f"q{number}", "parent_id": None, "role": "prompter", "text": f"What is {number}?"}
    replies = [
        {
            "message_id": f"a{number}-{rank}",
            "parent_id": f"q{number}",
            "role": "assistant",
            "rank": float(rank),
            "text": reply(number, rank),
            **common,
        }
        for rank in (0, 1, 2)
    ]
    return [{**question, "rank": None, **common}, *replies]


def source(folder: Path, name: str) -> Path:
    """A small file with the columns of the published data set, so that it is read like a copy of it."""
    path = folder / f"{name}.jsonl"
    shape = {"helpsteer2": helpsteer2, "oasst1": oasst1}[name]
    path.write_text("".join(json.dumps(row) + "\n" for number in range(48) for row in shape(number)))
    return path


def drawn_fusion(config: Config) -> dict[str, torch.Tensor]:
    """Return the fusion's weights before training."""
    return {f"fusion.{name}": each for name, each in GazeRewardModel(config, tiny_backbone()).fusion.named_parameters()}


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("helpsteer2", "corrected"),
        ("oasst1", "reference"),
        pytest.param("helpsteer2", "reference", marks=pytest.mark.long("training")),
        pytest.param("oasst1", "corrected", marks=pytest.mark.long("training")),
    ],
)
def test_a_readme_line_of_the_reference_trains_under_either_preset(name: str, preset: str, tmp_path: Path) -> None:
    line = ["-d", source(tmp_path, name), "-m", "tiny", *LINES[name], "--preset", preset]
    result = gazetune_json("train", *line, "--storage", tmp_path)
    best = Path(result["folder"], "best")
    config = load_config(best / "config.yaml")
    assert config.preset == preset and config.fusion.kind == "concat" and config.data.seed == 44
    assert config.gaze.features == (("TRT",) if name == "helpsteer2" else ("FFD", "TRT"))
    reference = preset == "reference"
    # Defect 1: only the copy of OASST1 has its labels the other way round.
    chosen = {pair.chosen.split()[3] for pair in load_splits(config.data).train}
    assert chosen == ({"2"} if reference and name == "oasst1" else {"0"})
    # Defect 2: the projector is the one that was drawn.
    saved, drawn = load_file(best / "weights.safetensors"), drawn_fusion(config)
    assert all(torch.equal(saved[key], value) for key, value in drawn.items()) == reference
    # Raw measures, read as one chat, rewarded on padding.
    assert bool((saved["fusion.projector.mean"] == 0).all()) == reference
    assert (config.gaze.context, config.train.pool) == (("chat", "last_padded") if reference else ("message", "last"))
    if reference:  # read again in a new process the saved model orders the test pairs alike
        again = gazetune_json("train", "--mode", "evaluate", "-m", best, "--storage", tmp_path)
        assert again["test"] == result["test"]


@pytest.mark.long("training")
@pytest.mark.parametrize("preset", ["corrected", "reference"])
def test_a_readme_line_trains_on_all_real_pairs_under_either_preset(preset: str, shared: Path, tmp_path: Path) -> None:
    pairs = shared / "data" / "hh_harmless_pairs.jsonl.gz"
    result = gazetune_json(
        "train", "-d", pairs, "-m", "tiny", *LINES["oasst1"], "--preset", preset, "--storage", tmp_path
    )
    splits = load_splits(load_config(Path(result["folder"], "config.yaml")).data)
    assert len(splits.train) > 1000
    assert (result["examples"], result["test"]["n"]) == (2 * len(splits.train), len(splits.test))
