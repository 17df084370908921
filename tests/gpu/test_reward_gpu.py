"""On a GPU: the layouts agree through the flash kernel, a step trains, predictors give the CPU's values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from gazetune.gaze.predictors import bilstm, roberta
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.varlen import has_varlen
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.train.loop import Training
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group
from tests.bench.step_data import config_of, helpsteer2_like, measured_backbone

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
PAIRS = 4


@pytest.fixture(scope="module")
def data() -> PreparedData:
    return helpsteer2_like(np.random.default_rng(0), PAIRS)


def rewards_and_gradient(layout_kind: str, kind: str, data: PreparedData) -> tuple[Tensor, Tensor]:
    """Return the rewards [S] in bf16 and the gradient of their spread at the first query matrix."""
    config = config_of(fusion={"kind": kind, "position": "after"}, projector={"dropout": [0.0, 0.0]})
    model = GazeRewardModel(config, measured_backbone())
    model.cast_weights(torch.bfloat16)
    model.to("cuda")
    gaze_tokens = model.layout.gaze_tokens
    layout = BatchLayout(layout_kind, gaze_tokens=gaze_tokens, sees_gaze=model.layout.sees_gaze)
    model.use_layout(layout)
    rewards = model(data.train.batch_pairs(np.arange(PAIRS), layout).to(torch.device("cuda")))
    (rewards[:PAIRS] - rewards[PAIRS:]).sum().backward()
    gradient = model.backbone.layers[0].self_attn.q_proj.weight.grad
    return rewards.detach().float().cpu(), gradient.float().cpu()


@pytest.mark.parametrize("kind", ["none", "add", "concat"])
@pytest.mark.parametrize("layout_kind", ["packed", "shared"])
def test_layouts_without_padding_equal_padding_in_bf16(layout_kind: str, kind: str, data: PreparedData) -> None:
    ours, our_gradient = rewards_and_gradient(layout_kind, kind, data)
    padded, padded_gradient = rewards_and_gradient("padded", kind, data)
    torch.testing.assert_close(ours, padded, rtol=0, atol=0.05)
    largest = float(padded_gradient.abs().max())
    torch.testing.assert_close(our_gradient, padded_gradient, rtol=0, atol=0.05 * largest)


@pytest.mark.skipif(not torch.cuda.is_available() or not has_varlen(0), reason="no varlen_attn here")
@pytest.mark.parametrize("layout_kind", ["packed", "shared"])
def test_the_flash_kernel_computes_in_bf16(layout_kind: str, data: PreparedData) -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        rewards_and_gradient(layout_kind, "none", data)
    names = {event.key for event in seen.key_averages()}
    assert any("varlen_attn" in name for name in names), sorted(names)
    assert not any("scaled_dot_product" in name for name in names), sorted(names)


@pytest.mark.parametrize("kind", ["bilstm", "roberta"])
def test_published_predictors_give_the_values_of_the_cpu(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = request.getfixturevalue(f"{kind}_folder")
    module = {"bilstm": bilstm, "roberta": roberta}[kind]

    def measures() -> list[np.ndarray]:
        if kind == "bilstm":
            predictor = bilstm.BilstmPredictor(folder / "T5-tokenizer-BiLSTM-TRT-12-concat-3")
        else:
            predictor = roberta.RobertaPredictor(folder / "et_predictor2_seed123.safetensors")
        return [gaze.values for gaze in predictor.predict(["the quick brown fox", "a lazy dog; reading takes time"])]

    on_gpu = measures()
    monkeypatch.setattr(module, "pick_device", lambda: torch.device("cpu"))
    for one, other in zip(on_gpu, measures(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.fixture
def nccl(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DS_ACCELERATOR", "cuda")
    yield
    leave_worker_group()


def test_a_step_trains_with_the_nccl_backend(data: PreparedData, tmp_path: Path, nccl: None) -> None:
    worker = join_worker_group()
    assert dist.get_backend() == "nccl"
    config = config_of(fusion={"kind": "add"}, train={"batch_size": PAIRS, "precision": "bf16"}, deepspeed={"stage": 2})
    run = Training(config, data, tmp_path, worker, measured_backbone())
    before = run.model.head.weight.detach().clone()
    run.train_step(0)
    assert torch.isfinite(run._losses[-1])
    assert not torch.equal(run.model.head.weight, before)
    run.close()
