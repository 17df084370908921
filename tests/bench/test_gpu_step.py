"""The GPU bench at a tiny size on a CPU: its fields, and its FLOP against a count by hand."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from gazetune.reward.layout.attention import Segments
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.model.reward_model import GazeRewardModel
from tests.bench.gpu_step import divide_padded_passes, main, random_backbone
from tests.bench.model_flop import count_attention_flop, count_matrix_weights, count_model_flop
from tests.bench.step_data import config_of, made_up

# Hidden size 32, feed-forward 64, 4 query heads and 2 key heads of 8: q and o, k and v, gate, up and down; two layers.
FROZEN = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
# LoRA of rank 8 on q (32 to 32) and v (32 to 16).
TRAINED = 2 * (8 * (32 + 32) + 8 * (32 + 16))


@pytest.fixture(scope="module")
def model() -> GazeRewardModel:
    backbone = random_backbone("tiny", "bf16", torch.device("cpu"))
    return GazeRewardModel(config_of(adapter={"kind": "lora"}), backbone)


def test_a_backbone_is_bf16_but_for_its_buffers(model: GazeRewardModel) -> None:
    assert {weight.dtype for weight in model.backbone.parameters() if not weight.requires_grad} == {torch.bfloat16}
    assert model.bare_backbone().rotary_emb.inv_freq.dtype == torch.float32


def test_weights_are_counted_by_hand(model: GazeRewardModel) -> None:
    assert count_matrix_weights(model.backbone) == (FROZEN, TRAINED)


def test_attention_counts_every_key_that_a_query_sees() -> None:
    # 1 + 2 + 3 keys; then two queries that also see two of the run before: 3 + 4.
    assert count_attention_flop(Segments((3, 2), (3, 2), ((0, 0), (0, 2)), causal=True), 8, 1) == 12 * 8 * (6 + 7)


@pytest.mark.parametrize("layout_kind", ["padded", "packed"])
def test_padding_is_no_model_flop(model: GazeRewardModel, layout_kind: str) -> None:
    split = made_up(np.random.default_rng(0), np.array([1]), np.array([[2, 4]])).train
    seen = (1 + 2 + 3) + (1 + 2 + 3 + 4 + 5)
    expected = (4 * FROZEN + 6 * TRAINED) * (3 + 5) + 12 * 32 * 2 * seen
    assert count_model_flop(model, split.batch_pairs(np.array([0]), BatchLayout(layout_kind))) == expected


def test_padded_passes_hold_every_pair_within_the_budget() -> None:
    lengths = np.array([[3, 5], [2, 2], [9, 1], [1, 1]])
    assert [each.tolist() for each in divide_padded_passes(lengths, 20)] == [[0, 1], [2], [3]]


def test_the_bench_runs_tiny_on_a_cpu_and_prints_its_fields(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--size", "tiny", "--weights", "bf16", "--steps", "1", "--pass-tokens", "3000", "--json"]
    monkeypatch.setattr(sys, "argv", ["gpu_step", *arguments, "--fusion", "none", "concat"])
    main()
    rows = json.loads(capsys.readouterr().out)["figures"]
    assert [(row["weights"], row["fusion"]) for row in rows] == [("bf16", kind) for kind in ("none", "concat")]
    for row in rows:
        assert row["ours"]["batching"] in ("packed", "shared")
        assert row["padded"]["batching"] == "padded"
        assert 1 < row["ours"]["passes"] <= row["padded"]["passes"]
        for side in (row["ours"], row["padded"]):
            assert side["tokens_per_second"] > 0
            assert side["step_flop"] > 0
        # Gaze tokens are positions of their own.
        assert (row["padded"]["step_flop"] > rows[0]["padded"]["step_flop"]) == (row["fusion"] == "concat")
