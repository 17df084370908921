"""Scoring chats with a saved model: the rewards of training, in a new process, whatever is scored beside a chat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.preferences.pair import Message
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.layout.batching import split_rewards
from gazetune.reward.model.fusion_registry import fusion_names
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.reward_scorer import RewardScorer
from tests.saved_models import save_perturbed_model

CHATS = 7  # an odd number: they are no pairs
SCORE = """
import json, sys

from gazetune import RewardScorer

chats = json.loads(sys.argv[1])
print(json.dumps({name: RewardScorer.from_pretrained(name).score(chats).tolist() for name in sys.argv[2:]}))
"""


def varied(config: Config, **sections: Any) -> Config:
    tree = config.model_dump(mode="json")
    return Config.model_validate({**tree, **{name: {**tree[name], **keys} for name, keys in sections.items()}})


def validation_chats(config: Config) -> list[list[dict[str, str]]]:
    """The chosen and the rejected conversation of the first validation pairs, as many as `CHATS`."""
    pairs = load_splits(config.data).validation
    chats = [pair.chat_with(reply) for pair in pairs for reply in (pair.chosen, pair.rejected)]
    return [[{"role": each.role, "content": each.content} for each in chat] for chat in chats[:CHATS]]


def expected(model: GazeRewardModel, data: PreparedData) -> list[float]:
    """The rewards of the same conversations from the prepared data, as training has them."""
    with torch.no_grad():
        rewards = split_rewards(model(data.validation.batch_pairs(np.arange(4), model.layout)))
    return torch.stack(rewards, dim=1).flatten()[:CHATS].tolist()


@pytest.fixture
def scorer(planted_config: Config, planted: PreparedData, tmp_path: Path) -> RewardScorer:
    save_perturbed_model(tmp_path / "best", varied(planted_config, fusion={"kind": "concat"}), planted)
    return RewardScorer.from_pretrained(tmp_path / "best")


def test_a_new_process_scores_chats_as_training_does_for_every_fusion_and_adapter(
    planted_config: Config, planted: PreparedData, tmp_path: Path
) -> None:
    rewards: dict[str, list[float]] = {}
    for fusion in fusion_names():
        for adapter in ("full", "lora"):
            config = varied(planted_config, fusion={"kind": fusion}, adapter={"kind": adapter})
            rewards[str(tmp_path / f"{fusion}-{adapter}")] = expected(
                save_perturbed_model(tmp_path / f"{fusion}-{adapter}", config, planted), planted
            )
    chats = json.dumps(validation_chats(planted_config))
    done = subprocess.run(
        [sys.executable, "-c", SCORE, chats, *rewards], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert len(found) == 10
    for name, values in rewards.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)
        assert np.std(values) > 1e-3, "rewards that are all alike would say nothing"


@pytest.mark.parametrize(
    "gaze",
    [
        {"predictor": "lexical", "scope": "response", "align": "first"},
        {"predictor": "lexical", "sigma": [1.0, 0.5]},
        {"predictor": "lexical", "context": "chat"},
        {"predictor": "bilstm", "features": ["TRT"]},
    ],
    ids=lambda gaze: "-".join(map(str, gaze)),
)
def test_gaze_is_that_of_the_prepared_data(
    gaze: dict[str, Any], planted_config: Config, cache: Path, bilstm_folder: Path, tmp_path: Path
) -> None:
    gaze = {**gaze, "path": str(bilstm_folder)} if gaze["predictor"] == "bilstm" else gaze
    for fusion in ("add", "concat"):
        config = varied(planted_config, data={"pairs": 40}, gaze=gaze, fusion={"kind": fusion})
        data = prepare_data(config, cache)
        model = save_perturbed_model(tmp_path / fusion, config, data)
        found = RewardScorer.from_pretrained(tmp_path / fusion).score(validation_chats(config))
        np.testing.assert_allclose(found, expected(model, data), atol=1e-5)


def test_a_chat_has_the_same_reward_alone_among_others_and_in_any_order(
    scorer: RewardScorer, planted_config: Config
) -> None:
    chats = validation_chats(planted_config)
    together = scorer.score(chats)
    assert torch.allclose(torch.cat([scorer.score([chat]) for chat in chats]), together, atol=1e-5)
    assert torch.allclose(scorer.score(chats[::-1]).flip(0), together, atol=1e-5)
    scorer.model.config = varied(scorer.model.config, train={"eval_tokens": 1})  # a pass for each chat
    assert torch.allclose(scorer.score(chats), together, atol=1e-5)
    assert len(scorer.score([])) == 0


def test_messages_are_taken_as_objects_too(scorer: RewardScorer, planted_config: Config) -> None:
    chats = validation_chats(planted_config)
    objects = [[Message(each["role"], each["content"]) for each in chat] for chat in chats]
    assert torch.equal(scorer.score(objects), scorer.score(chats))


def test_scoring_leaves_a_training_model_in_training(scorer: RewardScorer, planted_config: Config) -> None:
    chats = validation_chats(planted_config)
    evaluated = scorer.score(chats)
    scorer.model.train()
    assert torch.equal(scorer.score(chats), evaluated), "dropout is off"
    assert scorer.model.training


def test_words_that_no_training_pair_has_are_scored(scorer: RewardScorer) -> None:
    chat = [{"role": "user", "content": "¿Qué? 你好 🙂"}, {"role": "assistant", "content": "<|end|> user\nno"}]
    assert torch.isfinite(scorer.score([chat])).all()


@pytest.mark.parametrize(
    ("chat", "problem"),
    [
        ([{"role": "user", "content": "Why?"}], "chat 1: ends with user; accepted: .* an assistant's reply"),
        ([], "chat 1: ends with nothing"),
        ([{"role": "asistant", "content": "No."}], "chat 1: .*did you mean 'assistant'"),
        ([{"role": "assistant"}], r"chat 1: .*messages\[0\].content"),
        (
            [{"role": "assistant", "content": "word " * 9000}],
            "chat 1: [0-9]+ positions with fusion.kind concat, .* 8192",
        ),
    ],
)
def test_a_chat_that_cannot_be_scored_is_named(
    chat: list[dict[str, str]], problem: str, scorer: RewardScorer, planted_config: Config
) -> None:
    with pytest.raises(InputError, match=problem):
        scorer.score([validation_chats(planted_config)[0], chat])


def test_the_class_and_from_pretrained_load_the_same_model(
    scorer: RewardScorer, planted_config: Config, tmp_path: Path
) -> None:
    chats = validation_chats(planted_config)
    assert torch.equal(RewardScorer(str(tmp_path / "best")).to("cpu").score(chats), scorer.score(chats))


def test_a_predictor_with_other_weights_is_refused(
    planted_config: Config, cache: Path, bilstm_folder: Path, tmp_path: Path
) -> None:
    config = varied(
        planted_config,
        data={"pairs": 40},
        gaze={"predictor": "bilstm", "features": ["TRT"], "path": str(bilstm_folder)},
    )
    save_perturbed_model(tmp_path / "best", config, prepare_data(config, cache))
    other = tmp_path / "other"
    other.mkdir()
    (weights,) = [path for path in bilstm_folder.iterdir() if path.suffix != ".json"]
    state = torch.load(weights, weights_only=True)
    state["head.2.bias"] += 1
    torch.save(state, other / weights.name)
    (other / "tokenizer.json").write_bytes((bilstm_folder / "tokenizer.json").read_bytes())
    with pytest.raises(InputError, match=r"config.yaml: gaze.predictor 'bilstm' has the fingerprint .* trained with"):
        RewardScorer.from_pretrained(tmp_path / "best", gaze_path=str(other))
    RewardScorer.from_pretrained(tmp_path / "best", gaze_path=str(bilstm_folder))


def test_a_model_of_a_control_is_refused(planted_config: Config, cache: Path, tmp_path: Path) -> None:
    config = varied(planted_config, gaze={"control": "shuffled"})
    save_perturbed_model(tmp_path / "best", config, prepare_data(config, cache))
    with pytest.raises(InputError, match=r"config.yaml: gaze.control: 'shuffled': .*; accepted: none"):
        RewardScorer.from_pretrained(tmp_path / "best")


def test_a_backbone_that_moved_is_found_where_the_call_says(
    planted_config: Config, planted: PreparedData, backbone_folder: Callable[..., Path], tmp_path: Path
) -> None:
    backbone = backbone_folder("llama")
    config = varied(planted_config, adapter={"kind": "lora"}).model_copy(update={"backbone": str(backbone)})
    model = save_perturbed_model(tmp_path / "best", config, planted)
    moved = backbone.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=f"cannot load the config of '{backbone}'"):
        RewardScorer.from_pretrained(tmp_path / "best")
    found = RewardScorer.from_pretrained(tmp_path / "best", backbone=str(moved)).score(validation_chats(config))
    np.testing.assert_allclose(found, expected(model, planted), atol=1e-5)


def test_gaze_statistics_of_training_are_used(scorer: RewardScorer, planted_config: Config, tmp_path: Path) -> None:
    before: Tensor = scorer.score(validation_chats(planted_config))
    weights = tmp_path / "best" / "weights.safetensors"
    state = load_file(weights)
    state["fusion.projector.mean"] += 5.0
    save_file(state, weights)
    after = RewardScorer.from_pretrained(tmp_path / "best").score(validation_chats(planted_config))
    assert (after - before).abs().max() > 1e-4
