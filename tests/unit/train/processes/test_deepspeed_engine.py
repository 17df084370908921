"""The engine of a run: its optimiser, its buckets, and what it says."""

from __future__ import annotations

import logging

import pytest
import torch

from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.train.processes.deepspeed_engine import destroy_engine, start_training_engine
from gazetune.train.processes.worker_group import Worker
from tests.bench.step_data import config_of


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("offload", ["none", "cpu"])
def test_adamw_is_fused_wherever_the_states_are(device: str, offload: str, worker: Worker) -> None:
    config = config_of(adapter={"kind": "lora"}, deepspeed={"stage": 2, "offload": offload})
    model = GazeRewardModel(config, load_backbone("tiny", torch.float32))
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    # The model lies on the CPU: only what is decided by the worker's device is asked for.
    engine, optimizer = start_training_engine(config, model, Worker(0, 1, torch.device(device)))
    assert [group["fused"] for group in optimizer.param_groups] == [True] * len(optimizer.param_groups)
    assert engine.optimizer.reduce_bucket_size == trained + trained % 2
    destroy_engine(engine)


@pytest.mark.parametrize(("stage", "lines"), [(0, 1), (2, 0)])
def test_a_run_that_sums_gradients_in_bf16_says_so(
    stage: int, lines: int, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(
        adapter={"kind": "lora"}, train={"accumulate": 2, "precision": "bf16"}, deepspeed={"stage": stage}
    )
    with caplog.at_level(logging.WARNING, logger="gazetune"):
        engine, _ = start_training_engine(
            config, GazeRewardModel(config, load_backbone("tiny", torch.bfloat16)), worker
        )
    destroy_engine(engine)
    assert sum("deepspeed.stage: at 0" in record.getMessage() for record in caplog.records) == lines
