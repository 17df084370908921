"""The table of quantisations, adapters, ZeRO stages and offloads: what it refuses, and that what it accepts trains."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.model.backbone import load_backbone
from gazetune.train.limits.compatibility import STAGES, TABLE, check_combination, check_pool, list_combinations
from gazetune.train.loop import Training

StartTraining = Callable[..., Training]
ADAPTERS = ("full", "lora", "dora", "rslora", "none")
ACCEPTED = [
    (row.quantization, kind, stage, offload)
    for row in TABLE
    for kind in row.adapters
    for stage in STAGES
    for offload in row.offloads[stage]
    if offload != "nvme"  # test_offload.py
]


def config_of(quantization: str, kind: str, stage: int, offload: str) -> Config:
    return Config.model_validate(
        {
            "adapter": {"quantization": quantization, "kind": kind},
            "deepspeed": {"stage": stage, "offload": offload},
        }
    )


@pytest.mark.parametrize(
    ("combination", "line"),
    [
        (("none", "full", 0, "cpu"), "deepspeed.offload: cpu needs deepspeed.stage 2 or 3, got 0"),
        (("none", "lora", 1, "cpu"), "deepspeed.offload: cpu needs deepspeed.stage 2 or 3, got 1"),
        (("none", "lora", 2, "nvme"), "deepspeed.offload: nvme needs deepspeed.stage 3, got 2"),
        (("nf4", "lora", 1, "cpu"), "deepspeed.offload: cpu needs deepspeed.stage 2, got 1"),
        (
            ("nf4", "lora", 2, "nvme"),
            "deepspeed.offload: nvme does not go with adapter.quantization nf4; accepted: none, cpu",
        ),
        (
            ("nf4", "full", 2, "none"),
            "adapter.kind: full does not go with adapter.quantization nf4 (4-bit weights take no gradient); "
            "accepted: lora, dora, rslora, none",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(combination: tuple, line: str) -> None:
    with pytest.raises(InputError) as refused:
        check_combination(config_of(*combination))
    assert str(refused.value) == line


@pytest.mark.parametrize("kind", ADAPTERS[1:])
@pytest.mark.parametrize("offload", ["none", "cpu", "nvme"])
def test_nf4_is_refused_with_zero_3(kind: str, offload: str) -> None:
    with pytest.raises(InputError, match=r"deepspeed.stage: 3 does not go with adapter.quantization nf4 .*: 0, 1, 2$"):
        check_combination(config_of("nf4", kind, 3, offload))


def test_every_combination_is_in_the_table_once_and_accepted_or_refused() -> None:
    for quantization, kind in itertools.product(("none", "nf4"), ADAPTERS):
        assert len([row for row in TABLE if row.quantization == quantization and kind in row.adapters]) == 1
        for stage, offload in itertools.product(STAGES, ("none", "cpu", "nvme")):
            accepted = (quantization, kind, stage, offload) in ACCEPTED or (
                (quantization, stage, offload) == ("none", 3, "nvme")
            )
            try:
                check_combination(config_of(quantization, kind, stage, offload))
                assert accepted
            except InputError as error:
                assert not accepted and "\n" not in str(error)


def test_the_table_says_what_the_check_does() -> None:
    assert [row["ZeRO-3"] for row in list_combinations()] == ["none, cpu, nvme", "-", "-"]
    assert all(len(row) == 7 for row in list_combinations())


@pytest.mark.parametrize(("quantization", "kind", "stage", "offload"), ACCEPTED)
def test_what_the_table_accepts_trains(
    quantization: str, kind: str, stage: int, offload: str, start: StartTraining
) -> None:
    if quantization == "nf4":
        pytest.importorskip("bitsandbytes")
    checkpointing = stage in (0, 3)
    training = start(
        backbone=load_backbone("tiny", torch.float32, quantization),
        adapter={"kind": kind, "quantization": quantization, "targets": "all-linear"},
        deepspeed={"stage": stage, "offload": offload},
        train={"gradient_checkpointing": checkpointing, "epochs": 1},
    )
    frozen = {name: each.detach().clone() for name, each in training.model.named_parameters() if not each.requires_grad}
    report = training.run(lambda made: made.step < 4)
    assert report is not None and report.step == 4
    assert report.train_losses[-1] != pytest.approx(report.train_losses[0], abs=1e-6)
    if stage < 3:  # with 3 a weight between steps is an empty place
        after = dict(training.model.named_parameters())
        assert [name for name, each in frozen.items() if not torch.equal(after[name], each)] == []
        assert bool(frozen) == (kind != "full")


@pytest.mark.parametrize("batching", ["auto", "packed", "shared"])
def test_a_reward_on_padding_needs_padding(batching: str) -> None:
    with pytest.raises(InputError, match=f"train.pool: last_padded .* is {batching}; accepted: last, or .*padded"):
        check_pool(Config.model_validate({"train": {"pool": "last_padded", "batching": batching}}))
    check_pool(Config.model_validate({"train": {"pool": "last_padded", "batching": "padded"}}))
