"""DeepSpeed settings, and the combinations that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.train.processes.deepspeed_config import deepspeed_config, sums_in_bf16
from gazetune.train.processes.deepspeed_override import check_deepspeed_settings


def config_of(**sections: Any) -> Config:
    return Config.model_validate({"backbone": "some/model", **sections})


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        (
            {"deepspeed": {"override": {"bf16": {"enabled": True}}}},
            "deepspeed.override.bf16.enabled: set by train.precision; leave it out of the override",
        ),
        (
            {"deepspeed": {"override": {"train_batch_size": 4}}},
            "deepspeed.override.train_batch_size: set by train.batch_size and train.accumulate; leave it out of the "
            "override",
        ),
        (
            {"deepspeed": {"override": {"zero_optimization": {"stage": 2}}}},
            "deepspeed.override.zero_optimization.stage: set by deepspeed.stage; leave it out of the override",
        ),
        (
            {"deepspeed": {"override": {"zero_optimization": {"offload_param": {"device": "cpu"}}}}},
            "deepspeed.override.zero_optimization.offload_param.device: set by deepspeed.offload; leave it out of the "
            "override",
        ),
        (
            {"deepspeed": {"override": {"zero_optimization": {"overlap_com": True}}}},
            "deepspeed.override.zero_optimization.overlap_com: DeepSpeed refuses True: Extra inputs are not permitted",
        ),
        (
            {"deepspeed": {"override": {"zero_optimization": 3}}},
            "deepspeed.override.zero_optimization: needs a mapping, got 3",
        ),
        (
            {"train": {"batch_size": 3}, "resources": {"workers": 4}},
            "train.batch_size: 3 pairs cannot be divided over resources.workers 4; accepted: at least 4",
        ),
    ],
)
def test_what_cannot_train_is_refused_in_one_line(sections: dict, line: str) -> None:
    with pytest.raises(InputError) as refused:
        check_deepspeed_settings(config_of(**sections))
    assert str(refused.value) == line


@pytest.mark.parametrize(
    "override",
    [
        {"gradient_clipping": 0.5, "data_types": {"grad_accum_dtype": "fp32"}, "no_key_of_today": 1},
        {"zero_optimization": {"overlap_comm": True, "offload_optimizer": {"pin_memory": False}}},
        {"bf16": {"immediate_grad_update": True}},
    ],
)
def test_everything_else_is_deepspeeds_own(override: dict) -> None:
    check_deepspeed_settings(config_of(deepspeed={"override": override, "stage": 3}))


def test_as_many_pairs_as_workers_are_enough() -> None:
    check_deepspeed_settings(config_of(train={"batch_size": 4}, resources={"workers": 4}))


def test_a_disk_is_named_in_both_offloads() -> None:
    section = {"stage": 3, "offload": "nvme", "nvme_path": "/fast"}
    zero = deepspeed_config(config_of(deepspeed=section), 2, torch.float32)["zero_optimization"]
    assert zero["offload_optimizer"] == zero["offload_param"] == {"device": "nvme", "nvme_path": "/fast"}
    override = {"zero_optimization": {"sub_group_size": 10**9}}
    with pytest.raises(InputError, match=r"sub_group_size: deepspeed.offload nvme needs 1"):
        check_deepspeed_settings(config_of(deepspeed={**section, "override": override}))


@pytest.mark.parametrize(("world", "micro"), [(1, 10), (2, 5), (3, 4), (4, 3)])
def test_the_batch_is_divided_over_the_workers(world: int, micro: int) -> None:
    settings = deepspeed_config(config_of(train={"batch_size": 10, "accumulate": 3}), world, torch.float32)
    assert settings["train_micro_batch_size_per_gpu"] == micro
    assert settings["gradient_accumulation_steps"] == 3
    assert settings["gradient_clipping"] == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bf16_follows_the_models_precision(dtype: torch.dtype) -> None:
    assert deepspeed_config(config_of(), 1, dtype)["bf16"] == {"enabled": dtype == torch.bfloat16}


@pytest.mark.parametrize(
    ("stage", "offloaded"), [(2, {"offload_optimizer"}), (3, {"offload_optimizer", "offload_param"})]
)
def test_offload_moves_what_the_stage_shards(stage: int, offloaded: set[str]) -> None:
    here = deepspeed_config(config_of(deepspeed={"stage": stage}), 2, torch.float32)["zero_optimization"]
    there = deepspeed_config(config_of(deepspeed={"stage": stage, "offload": "cpu"}), 2, torch.float32)
    assert here["stage"] == stage
    assert there["zero_optimization"].keys() - here.keys() == offloaded
    assert all(there["zero_optimization"][key] == {"device": "cpu"} for key in offloaded)


def test_an_override_is_merged_last_and_deeply() -> None:
    override = {"zero_optimization": {"overlap_comm": True, "reduce_bucket_size": 1000}, "gradient_clipping": 0.5}
    plain = deepspeed_config(config_of(), 2, torch.float32)
    settings = deepspeed_config(config_of(deepspeed={"override": override}), 2, torch.float32)
    assert settings["zero_optimization"] == {
        **plain["zero_optimization"],
        "overlap_comm": True,
        "reduce_bucket_size": 1000,
    }
    assert settings["gradient_clipping"] == 0.5
    assert settings["bf16"] == plain["bf16"]


def test_deepspeed_accepts_the_settings() -> None:
    from deepspeed.runtime.config import DeepSpeedConfig

    for stage in range(4):
        settings = deepspeed_config(config_of(deepspeed={"stage": stage}), 1, torch.float32)
        assert DeepSpeedConfig(settings).zero_optimization_stage == stage


@pytest.mark.parametrize(("trained", "bucket"), [(4_000_001, 4_000_002), (7_000_000_000, 500_000_000)])
def test_a_bucket_is_no_larger_than_what_trains(trained: int, bucket: int) -> None:
    zero = deepspeed_config(config_of(), 8, torch.bfloat16, trained)["zero_optimization"]
    assert zero["reduce_bucket_size"] == zero["allgather_bucket_size"] == bucket
    override = {"zero_optimization": {"reduce_bucket_size": 1000}}
    config = config_of(deepspeed={"override": override})
    assert deepspeed_config(config, 8, torch.bfloat16, trained)["zero_optimization"]["reduce_bucket_size"] == 1000


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_communication_overlaps_as_deepspeed_has_it(stage: int) -> None:
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    zero = deepspeed_config(config_of(deepspeed={"stage": stage}), 8, torch.bfloat16, 10**6)["zero_optimization"]
    assert DeepSpeedZeroConfig(**zero).overlap_comm == (stage == 3)


@pytest.mark.parametrize(
    ("dtype", "stage", "train", "summed"),
    [
        (torch.bfloat16, 1, {"accumulate": 2}, "fp32"),
        (torch.bfloat16, 2, {"batch_tokens": 100}, "fp32"),
        (torch.bfloat16, 3, {"accumulate": 2}, "fp32"),
        (torch.bfloat16, 0, {"accumulate": 2}, None),  # DeepSpeed cannot
        (torch.bfloat16, 2, {}, None),
        (torch.float32, 2, {"accumulate": 2}, None),
    ],
)
def test_gradients_of_several_bf16_passes_are_summed_in_float32(
    dtype: torch.dtype, stage: int, train: dict, summed: str | None
) -> None:
    config = config_of(train=train, deepspeed={"stage": stage})
    assert deepspeed_config(config, 8, dtype).get("data_types", {}).get("grad_accum_dtype") == summed
    assert sums_in_bf16(config, dtype) == (stage == 0)
