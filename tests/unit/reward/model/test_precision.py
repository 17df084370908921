"""bf16 against float32 at 2,048 positions: buffers are exact, and the error is no larger than transformers' own."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.precision import RewardHead, cast_parameters
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.tiny import tiny_backbone
from tests.bench.step_data import config_of
from tests.gpu.smoke.precision import LARGEST_RATIO, llama_shape, measure_errors

TEXTS, POSITIONS = 50, 2048


def test_bf16_is_as_near_to_float32_as_a_bf16_load_of_transformers(tmp_path: Path) -> None:
    shape = llama_shape(POSITIONS, hidden=32, heads=1, group=1)
    found = measure_errors(shape, TEXTS, tmp_path, torch.device("cpu"))
    assert found["frequencies_are_exact"]
    assert found["median_error"] < 0.1 * found["spread"], "rewards say nothing of the texts"
    assert found["median_error"] <= LARGEST_RATIO * found["median_error_of_transformers"]
    assert found["distinct_rewards"] >= TEXTS - 1


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
