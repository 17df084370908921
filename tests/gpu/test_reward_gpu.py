"""On a GPU: the layouts agree through the flash kernel, a step trains, predictors give the CPU's values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from gazetune.gaze.predictors import bilstm, roberta
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.layout.varlen import has_varlen
from gazetune.train.loop import Training
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group
from tests.bench.step_data import config_of, helpsteer2_like, measured_backbone
from tests.gpu.smoke.layouts import CASES, Case, compare_case, compute_case
from tests.gpu.smoke.sizes import FULL

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
PAIRS = 4


@pytest.fixture(scope="module")
def data() -> PreparedData:
    return helpsteer2_like(np.random.default_rng(0), PAIRS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_layouts_without_padding_in_bf16_equal_padding_in_float32(case: Case, data: PreparedData) -> None:
    found = compare_case(case, data, FULL.window, torch.device("cuda"))
    assert not [each["problem"] for each in found if each["problem"]]


@pytest.mark.skipif(not torch.cuda.is_available() or not has_varlen(0), reason="no varlen_attn here")
@pytest.mark.parametrize("layout_kind", ["packed", "shared"])
@pytest.mark.parametrize("case", [CASES[0], Case("gqa", "none", key_heads=2), Case("window", "none", has_window=True)])
def test_the_flash_kernel_computes_in_bf16(case: Case, layout_kind: str, data: PreparedData) -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        compute_case(case, layout_kind, data, FULL.window, torch.device("cuda"), torch.bfloat16)
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
