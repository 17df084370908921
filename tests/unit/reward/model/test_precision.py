"""bf16 against float32 at 2,048 positions: buffers are exact, and the error is no larger than transformers' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForSequenceClassification

from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.precision import RewardHead, cast_parameters
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.tiny import tiny_backbone
from tests.bench.step_data import config_of, made_up

TEXTS, POSITIONS, WORDS = 50, 2048, 64
SHAPE = LlamaConfig(
    vocab_size=WORDS,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
    max_position_embeddings=POSITIONS,
    rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    pad_token_id=0,
)


def classifier() -> LlamaForSequenceClassification:
    """A random Llama whose attention is sharp, so that rewards depend on where tokens stand."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = LlamaForSequenceClassification(LlamaConfig(**{**SHAPE.to_dict(), "num_labels": 1}))
        for name, weight in made.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                nn.init.normal_(weight, std=0.6)
            elif weight.ndim == 2:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    return made.eval()


def texts() -> EncodedSplit:
    """Random texts of 2,048 tokens, of which the last two are equal."""
    prompts, replies = np.full(TEXTS // 2, 1), np.full((TEXTS // 2, 2), POSITIONS - 1)
    split = made_up(np.random.default_rng(0), prompts, replies, WORDS).train
    split.ids[-POSITIONS:] = split.ids[-2 * POSITIONS : -POSITIONS]
    return split


def test_bf16_is_as_near_to_float32_as_a_bf16_load_of_transformers(tmp_path: Path) -> None:
    made, split = classifier(), texts()
    made.save_pretrained(tmp_path / "classifier")
    made.model.save_pretrained(tmp_path / "backbone")
    theirs = LlamaForSequenceClassification.from_pretrained(tmp_path / "classifier", dtype=torch.bfloat16).eval()
    ids = torch.from_numpy(split.ids).long().reshape(TEXTS, POSITIONS)
    with torch.no_grad():
        of_theirs = torch.cat([theirs(row).logits[:, 0].float() for row in ids.split(10)])

    def rewards_in(dtype: torch.dtype) -> Tensor:
        model = GazeRewardModel(config_of(), load_backbone(str(tmp_path / "backbone"), dtype)).eval()
        model.head.load_state_dict(made.score.state_dict())
        model.cast_weights(dtype)
        model.use_layout(BatchLayout("packed"))
        assert model.backbone.layers[0].mlp.up_proj.weight.dtype == dtype
        assert torch.equal(model.backbone.rotary_emb.inv_freq, made.model.rotary_emb.inv_freq)
        with torch.no_grad():
            tens = np.arange(TEXTS).reshape(-1, 10)
            return torch.cat([model(split.batch_single_texts(each, model.layout)) for each in tens])

    exact, ours = rewards_in(torch.float32), rewards_in(torch.bfloat16)
    error, their_error = ((rewards - exact).abs().median() for rewards in (ours, of_theirs))
    assert error < 0.1 * exact.std(), "rewards say nothing of the texts"
    assert error <= 1.2 * their_error
    assert len(ours.unique()) >= TEXTS - 1


def test_only_parameters_are_cast() -> None:
    norm = nn.BatchNorm1d(2)
    norm.register_parameter("packed", nn.Parameter(torch.zeros(2, dtype=torch.uint8), requires_grad=False))
    cast_parameters(norm, torch.bfloat16)
    assert {name: each.dtype for name, each in norm.named_parameters()} == {
        "weight": torch.bfloat16,
        "bias": torch.bfloat16,
        "packed": torch.uint8,
    }
    assert {name: each.dtype for name, each in norm.named_buffers()} == {
        "running_mean": torch.float32,
        "running_var": torch.float32,
        "num_batches_tracked": torch.int64,
    }


def test_a_model_on_a_bf16_backbone_rounds_neither_head_nor_gaze_statistics() -> None:
    model = GazeRewardModel(config_of(fusion={"kind": "concat", "scale": 0.1}), load_backbone("tiny", torch.bfloat16))
    kept = {name: each.clone() for name, each in model.named_buffers()} | {"head.weight": model.head.weight.clone()}
    model.set_gaze_statistics(torch.full((5,), 1000.3), torch.full((5,), 1000.7))
    model.cast_weights(torch.bfloat16)
    own = dict(model.named_buffers()) | {"head.weight": model.head.weight}
    assert {each.dtype for each in own.values()} == {torch.float32}
    assert torch.equal(model.fusion.projector.mean, torch.full((5,), 1000.3))
    assert torch.equal(model.fusion.scale.factor, torch.tensor([0.1]))
    assert torch.equal(own["backbone.rotary_emb.inv_freq"], tiny_backbone().rotary_emb.inv_freq)
    assert kept.keys() == own.keys()
    weights = {name: each.dtype for name, each in model.named_parameters() if name != "head.weight"}
    assert set(weights.values()) == {torch.bfloat16}


def test_a_head_with_a_rounded_weight_computes_with_the_whole_one_and_trains_the_rounded() -> None:
    torch.manual_seed(0)
    whole, lowered = RewardHead(64), RewardHead(64)
    lowered.load_state_dict(whole.state_dict())
    lowered.lower_weight(torch.bfloat16)
    states = torch.randn(100, 64, dtype=torch.bfloat16)
    rewards = lowered(states)
    assert rewards.dtype == torch.float32
    assert torch.equal(rewards, whole(states))
    assert len(rewards.unique()) == 100
    rewards.sum().backward()
    torch.testing.assert_close(lowered.weight.grad.float(), states.float().sum(0, keepdim=True), rtol=0.01, atol=0.01)
    assert list(lowered.state_dict()) == ["weight"]
    assert whole.double()(states.double()).dtype == torch.float64
