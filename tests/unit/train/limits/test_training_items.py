"""The plan's items against engines of every stage: what they hold between two steps, and the most during one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
from torch.profiler import ProfilerActivity, profile

from gazetune.config import Config
from gazetune.train.limits.memory_estimate import estimate_worker_memory
from gazetune.train.limits.memory_items import RUNNING, MemoryItem
from gazetune.train.limits.sharding_settings import ZERO_DEFAULTS, ShardingSettings
from gazetune.train.limits.training_items import list_training_items
from gazetune.train.processes.launch import launch_workers
from gazetune.train.processes.worker_group import Worker

from .engine_memory import config_of, deep_model_size, highest_sum, measure_as_worker, measure_engine

CASES: list[dict[str, Any]] = [
    {"stage": 0, "precision": "fp32", "passes": 1},
    {"stage": 0, "precision": "bf16", "passes": 2},
    {"stage": 1, "precision": "bf16", "passes": 1},
    {"stage": 1, "precision": "bf16", "passes": 2},
    {"stage": 2, "precision": "bf16", "passes": 1},
    {"stage": 2, "precision": "bf16", "passes": 2},
    {"stage": 2, "precision": "fp32", "passes": 2},
    {"stage": 2, "precision": "bf16", "passes": 1, "overlap_comm": True, "reduce_bucket_size": 140_000},
    {"stage": 2, "precision": "bf16", "passes": 1, "offload": "cpu"},
    {"stage": 2, "precision": "fp32", "passes": 2, "offload": "cpu"},
    {"stage": 3, "precision": "bf16", "passes": 1},
    {"stage": 3, "precision": "bf16", "passes": 2},
    {"stage": 3, "precision": "bf16", "passes": 1, "offload": "cpu"},
]


def plan_of(config: Config) -> tuple[int, int]:
    """Bytes that are there between two steps, and the most; on a CPU the host is the device."""
    size = deep_model_size()
    dtype = torch.bfloat16 if config.train.precision == "bf16" else torch.float32
    items = list_training_items(size, ShardingSettings.from_config(config, dtype, sum(size.trained)))
    held = sum(each.bytes for each in items if each.phases == RUNNING)
    return held, max(sum(each.bytes for each in items if phase in each.phases) for phase in RUNNING)


def check(case: dict[str, Any], measured: tuple[int, int], workers: int = 1) -> None:
    held, most = plan_of(config_of(workers=workers, **case))
    assert measured[0] == pytest.approx(held, rel=0.02), case
    assert 0.85 * most < measured[1] < 1.04 * most, case


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_an_engine_takes_what_the_items_say(case: dict[str, Any], worker: Worker) -> None:
    check(case, measure_engine(config_of(**case), worker))


@pytest.mark.long("training")
def test_two_workers_take_what_the_items_say(tmp_path: Path) -> None:
    reuse = {"stage3_max_reuse_distance": 270_000, "stage3_prefetch_bucket_size": 0}
    cases = [
        *({"stage": stage, "precision": "bf16", "passes": passes} for stage in (1, 2, 3) for passes in (1, 2)),
        {"stage": 3, "precision": "bf16", "passes": 1, **reuse},
    ]
    launch_workers(2, measure_as_worker, cases, 2, str(tmp_path / "measured.json"))
    for case, measured in zip(cases, json.loads((tmp_path / "measured.json").read_text()), strict=True):
        check(case, measured, workers=2)


def test_what_a_config_leaves_out_is_deepspeeds_default() -> None:
    fields = DeepSpeedZeroConfig.model_fields
    named = {field.alias or name: field.default for name, field in fields.items()}
    assert {name: named[name] for name in ZERO_DEFAULTS} == ZERO_DEFAULTS


def bytes_of(config: Config, name: str) -> int:
    items: tuple[MemoryItem, ...] = estimate_worker_memory(config, deep_model_size()).items
    return sum(each.bytes for each in items if each.name == name)


def test_settings_of_deepspeed_change_their_items() -> None:
    plain = config_of(3, "bf16", 1, workers=4)
    assert bytes_of(plain, "bucket of gradients") == 2 * 70_000
    assert bytes_of(config_of(3, "bf16", 1, workers=4, reduce_bucket_size=10), "bucket of gradients") == 20
    near = config_of(3, "bf16", 1, workers=4, stage3_max_reuse_distance=0)
    assert bytes_of(near, "live weights, whole") < bytes_of(plain, "live weights, whole")
    slow = config_of(3, "bf16", 1, workers=4, stage3_prefetch_bucket_size=0)
    assert bytes_of(slow, "weights being gathered") < bytes_of(plain, "weights being gathered")
    assert bytes_of(config_of(2, "bf16", 1, overlap_comm=True), "bucket of gradients") == 4 * 70_000


@pytest.mark.parametrize(("fused", "copies"), [(True, 0), (False, 1)])
def test_a_fused_step_of_adam_makes_no_copies_of_the_weights(fused: bool, copies: int) -> None:
    weight = torch.nn.Parameter(torch.zeros(2**18))
    optimizer = torch.optim.AdamW([weight], fused=fused, foreach=not fused)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        optimizer.step()
    made = highest_sum(profiler)
    assert made >= copies * 4 * 2**18
    assert copies or made < 1000
