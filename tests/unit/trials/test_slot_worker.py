"""The frozen backbone that a warm slot keeps from one trial to the next; trials that it cannot train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.train.limits.device_capacity import refuse_excess
from gazetune.train.limits.run_failures import InfeasibleConfig
from gazetune.train.loop import Training
from gazetune.train.processes.backbone_cache import BackboneCache
from gazetune.train.processes.worker_group import Worker
from gazetune.train.progress import EvaluationReport
from gazetune.trials.messages import JobFailure, TrainJob, WorkerSettings
from gazetune.trials.slot_worker import SlotWorker, describe_failure, make_report

StartTraining = Callable[..., Training]


def config_of(quantization: str, precision: str = "fp32") -> Config:
    return Config.model_validate(
        {"adapter": {"kind": "lora", "quantization": quantization}, "train": {"precision": precision}}
    )


def test_a_report_has_the_metrics_as_they_are_and_the_time_of_all_gpus() -> None:
    metrics = {"val/accuracy": 0.7, "val/loss": 0.4}
    made = EvaluationReport(3, 96, 960, 12.0, metrics, best_accuracy=0.75, train_losses=[0.6, 0.5, 0.4], done=False)
    report = make_report(made, 8.0)
    assert (report.metrics, report.val_accuracy) == (metrics, 0.75)
    assert (report.train_seconds, report.gpu_seconds) == (12.0, 96.0)


def test_a_kept_backbone_is_for_the_same_quantisation_and_precision_alone(worker: Worker) -> None:
    pytest.importorskip("bitsandbytes")
    configs = [config_of("none"), config_of("none", "bf16"), config_of("nf4")]
    for kept in configs:
        for wanted in configs:
            backbones = BackboneCache(worker)
            backbone = backbones.take_backbone(kept)
            backbones.keep_backbone(kept, backbone)
            assert (backbones.take_backbone(wanted) is backbone) == (kept == wanted)


def test_a_quantised_backbone_that_was_used_gives_the_losses_of_a_fresh_one(
    worker: Worker, start: StartTraining
) -> None:
    pytest.importorskip("bitsandbytes")
    config = config_of("nf4")
    backbones = BackboneCache(worker)
    losses = []
    for folder in ("first", "second"):
        training = start(
            folder,
            backbone=backbones.take_backbone(config),
            adapter=config.adapter.model_dump(),
            train={"epochs": 0.3, "precision": "fp32"},
        )
        report = training.run(lambda made: True)
        assert report is not None
        losses.append(report.train_losses)
        backbones.keep_backbone(config, training.close())
    assert losses[0] == losses[1] and len(losses[0]) > 0


def test_a_trial_is_not_trained_on_other_pairs_than_the_search_began_with(worker: Worker, tmp_path: Path) -> None:
    config = Config.model_validate({"data": {"pairs": 40}, "gaze": {"predictor": "planted"}})
    before = prepare_data(config, tmp_path).facts.data_fingerprint
    changed = config.model_copy(update={"data": config.data.model_copy(update={"pairs": 42})})
    job = TrainJob("0003", changed, tmp_path, data_fingerprints=(before,), milestones=())
    settings = WorkerSettings("board", 0, changed.resources, cache=tmp_path, threads=1)
    no_board: Any = None
    with pytest.raises(InputError, match="planted: the preference pairs have changed since the search began"):
        SlotWorker(no_board, worker, settings).train(job)


def test_no_memory_for_a_model_is_told_with_what_helps() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    config = Config.model_validate({"train": {"batch_size": 8}})
    failure = describe_failure(caught.value, config)
    assert failure.reason.startswith("out of memory; what helps: train.batch_tokens") and failure.is_infeasible
    assert describe_failure(RuntimeError("else\nmore"), config) == JobFailure("RuntimeError: else")


def test_a_trial_that_its_device_cannot_hold_is_infeasible_before_it_is_read(worker: Worker) -> None:
    config = Config.model_validate({"adapter": {"kind": "full"}})
    with pytest.raises(InfeasibleConfig, match=r"weights, gradients and optimizer states take .* what helps: "):
        refuse_excess(config, worker, 10**6)
    refuse_excess(config, worker, 10**9)
    refuse_excess(config, worker, None)
