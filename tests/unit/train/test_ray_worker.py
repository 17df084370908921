"""The frozen backbone that a warm slot keeps from one trial to the next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gazetune.config import Config
from gazetune.train.loop import Training
from gazetune.train.processes import Worker
from gazetune.train.ray_worker import _Backbones

StartTraining = Callable[..., Training]


def config_of(quantization: str, precision: str = "fp32") -> Config:
    return Config.model_validate(
        {"adapter": {"kind": "lora", "quantization": quantization}, "train": {"precision": precision}}
    )


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
