"""The frozen backbone that a warm slot keeps from one trial to the next; trials that it cannot train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.prepared_data import prepare
from gazetune.train.loop import Training
from gazetune.train.processes.slot_worker import _Backbones, _message, _reason, _train
from gazetune.train.processes.worker_group import Worker
from gazetune.train.progress import EvaluationReport

StartTraining = Callable[..., Training]


def config_of(quantization: str, precision: str = "fp32") -> Config:
    return Config.model_validate(
        {"adapter": {"kind": "lora", "quantization": quantization}, "train": {"precision": precision}}
    )


def test_a_message_has_the_objective_with_more_being_better_and_the_time_of_all_gpus() -> None:
    metrics = {"val/accuracy": 0.7, "val/loss": 0.4}
    made = EvaluationReport(3, 96, 960, 12.0, metrics, best_accuracy=0.75, train_losses=[0.6, 0.5, 0.4], done=False)
    assert _message(made, "val/loss", 0.5)["objective"] == -0.4
    message = _message(made, "val/accuracy", 8.0)
    assert (message["objective"], message["val_accuracy"]) == (0.7, 0.75)
    assert (message["train_seconds"], message["gpu_seconds"]) == (12.0, 96.0)


def test_a_kept_backbone_is_for_the_same_quantisation_and_precision_alone(worker: Worker) -> None:
    pytest.importorskip("bitsandbytes")
    configs = [config_of("none"), config_of("none", "bf16"), config_of("nf4")]
    for kept in configs:
        for wanted in configs:
            backbones = _Backbones(worker)
            backbone = backbones.take(kept)
            backbones.give(kept, backbone)
            assert (backbones.take(wanted) is backbone) == (kept == wanted)


def test_a_quantised_backbone_that_was_used_gives_the_losses_of_a_fresh_one(
    worker: Worker, start: StartTraining
) -> None:
    pytest.importorskip("bitsandbytes")
    config = config_of("nf4")
    backbones = _Backbones(worker)
    losses = []
    for folder in ("first", "second"):
        training = start(
            folder,
            backbone=backbones.take(config),
            adapter=config.adapter.model_dump(),
            train={"epochs": 0.3, "precision": "fp32"},
        )
        report = training.run(lambda made: True)
        assert report is not None
        losses.append(report.train_losses)
        backbones.give(config, training.close())
    assert losses[0] == losses[1] and len(losses[0]) > 0


def test_a_trial_is_not_trained_on_other_pairs_than_the_search_began_with(worker: Worker, tmp_path: Path) -> None:
    config = Config.model_validate({"data": {"pairs": 40}, "gaze": {"predictor": "planted"}})
    before = prepare(config, tmp_path).facts.data_fingerprint
    changed = config.model_copy(update={"data": config.data.model_copy(update={"pairs": 42})})
    job = {"id": "0003", "config": changed.model_dump(mode="json"), "folder": str(tmp_path), "data": [before]}
    with pytest.raises(InputError, match="planted: the preference pairs have changed since the search began"):
        _train(job, None, worker, _Backbones(worker), tmp_path)


def test_no_memory_for_a_model_is_told_with_what_helps() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    job = {"id": "0003", "config": {"train": {"batch_size": 8}}}
    assert _reason(caught.value, job).startswith("out of memory; what helps: train.batch_tokens")
    assert _reason(RuntimeError("else\nmore"), job) == "RuntimeError: else"
