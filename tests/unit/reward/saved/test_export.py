"""Export to transformers: the same rewards without gazetune, or one line that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.export import PADDING, export_classifier
from gazetune.reward.saved.reward_scorer import RewardScorer
from gazetune.reward.saved.saved_model import gaze_buffers, save_reward_model, trained_parameters

BackboneFolder = Callable[..., Path]


@pytest.fixture
def chats(planted_config: Config) -> list[list[dict[str, str]]]:
    """Conversations of different lengths."""
    pairs = load_splits(planted_config.data).validation[:3]
    found = [pair.chat_with(reply) for pair in pairs for reply in (pair.chosen, pair.rejected)]
    short = [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "No."}]
    return [short, *([{"role": each.role, "content": each.content} for each in chat] for chat in found)]


@pytest.fixture
def saved(planted_config: Config, planted: PreparedData, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves a model whose trained weights are away from their start."""

    def save(backbone: str = "tiny", **sections: Any) -> Path:
        tree = {**planted_config.model_dump(mode="json"), "backbone": backbone, "fusion": {"kind": "none"}, **sections}
        config = Config.model_validate(tree)
        model = GazeRewardModel(config, load_backbone(backbone, torch.float32))
        torch.manual_seed(9)
        with torch.no_grad():
            for parameter in trained_parameters(model).values():
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
        state = {name: each.detach() for name, each in {**trained_parameters(model), **gaze_buffers(model)}.items()}
        save_reward_model(tmp_path / "best", state, config, planted, np.zeros((3, 2)), "")
        return tmp_path / "best"

    return save


def rewards_of(folder: Path, chats: list[list[dict[str, str]]]) -> torch.Tensor:
    """The logits that transformers alone finds, as its own users would."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer.apply_chat_template(chats, padding=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        return model(**inputs).logits[:, 0]


@pytest.mark.parametrize("adapter", ["full", "lora", "dora", "none"])
@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "gemma3_text"])
def test_transformers_gives_the_same_rewards_in_a_batch_and_alone(
    architecture: str, adapter: str, saved: Callable, backbone_folder: BackboneFolder, chats: list, tmp_path: Path
) -> None:
    folder = saved(str(backbone_folder(architecture)), adapter={"kind": adapter})
    export_classifier(folder, tmp_path / "out", "the card")
    expected = RewardScorer.from_pretrained(folder).score(chats)
    assert expected.std() > 1e-3
    assert torch.allclose(rewards_of(tmp_path / "out", chats), expected, atol=1e-5)
    alone = torch.cat([rewards_of(tmp_path / "out", [chat]) for chat in chats[:2]])
    assert torch.allclose(alone, expected[:2], atol=1e-5)
    assert (tmp_path / "out" / "README.md").read_text() == "the card"
    settings = json.loads((tmp_path / "out" / "config.json").read_text())
    assert settings["pad_token_id"] == 0 and settings["architectures"][0].endswith("ForSequenceClassification")


def test_the_tiny_backbone_is_exported_too(saved: Callable, chats: list, tmp_path: Path) -> None:
    folder = saved()
    export_classifier(folder, tmp_path / "out", "")
    expected = RewardScorer.from_pretrained(folder).score(chats)
    assert torch.allclose(rewards_of(tmp_path / "out", chats), expected, atol=1e-5)


def test_the_pipeline_of_transformers_gives_the_reward_itself(saved: Callable, chats: list, tmp_path: Path) -> None:
    folder = saved()
    export_classifier(folder, tmp_path / "out", "")
    found = pipeline("text-classification", model=str(tmp_path / "out"), device="cpu")
    texts = found.tokenizer.apply_chat_template(chats, tokenize=False)
    scores = [each["score"] for each in found(texts, add_special_tokens=False)]
    np.testing.assert_allclose(scores, RewardScorer(folder).score(chats), atol=1e-5)
    assert min(scores) < 0 or max(scores) > 1, "a sigmoid would lie between"


@pytest.mark.parametrize("unknown", [None, "<|system|>"])
def test_padding_never_is_the_token_that_ends_a_chat(
    unknown: str | None, saved: Callable, chats: list, tmp_path: Path
) -> None:
    folder = saved()
    expected = RewardScorer.from_pretrained(folder).score(chats)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    tokenizer.pad_token = "<|end|>"  # as Llama 3 instruct models are often padded
    if unknown is not None:
        tokenizer.unk_token = unknown
    tokenizer.save_pretrained(folder / "tokenizer")
    export_classifier(folder, tmp_path / "out", "")
    assert AutoTokenizer.from_pretrained(tmp_path / "out").pad_token == (unknown or PADDING)
    assert torch.allclose(rewards_of(tmp_path / "out", chats), expected, atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "modernbert"])
def test_an_encoder_whose_classification_has_more_layers_is_refused(
    architecture: str, saved: Callable, backbone_folder: BackboneFolder, tmp_path: Path
) -> None:
    folder = saved(str(backbone_folder(architecture)), adapter={"kind": "none"})
    with pytest.raises(InputError, match=f"config.yaml: backbone '.*' cannot be exported: .* {architecture} with one"):
        export_classifier(folder, tmp_path / "out", "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"fusion": {"kind": "add"}}, "fusion.kind: 'add' cannot be exported: .* sees no gaze; accepted: none"),
        (
            {"data": {"source": "planted", "tokens": "reference"}},
            "data.tokens: 'reference' cannot be exported: .*; accepted: template",
        ),
        ({"train": {"pool": "last_padded"}}, "train.pool: 'last_padded' cannot be exported: .*; accepted: last"),
    ],
)
def test_what_transformers_cannot_compute_is_refused(
    sections: dict[str, Any], problem: str, saved: Callable, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"config.yaml: {problem}"):
        export_classifier(saved(**sections), tmp_path / "out", "")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_taken_is_refused(saved: Callable, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match=r"--out .*/out: is there already; accepted: a new or an empty folder"):
        export_classifier(saved(), tmp_path / "out", "")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
