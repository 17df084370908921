"""Which quantisation and adapter go with which ZeRO stage and offload: one table, asked before a worker starts."""

from __future__ import annotations

from dataclasses import dataclass

from gazetune.config import Config, ResourcesConfig
from gazetune.errors import InputError

STAGES = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class SupportedCombination:
    """What one quantisation and some adapters can be trained with."""

    quantization: str
    adapters: tuple[str, ...]
    offloads: tuple[tuple[str, ...], ...]
    """For each ZeRO stage the values of `deepspeed.offload` that go with it; none at all where the stage does not."""
    why: str


TABLE = (
    SupportedCombination(
        "none",
        ("full", "lora", "dora", "rslora", "none"),
        (("none",), ("none",), ("none", "cpu"), ("none", "cpu", "nvme")),
        "offload moves what the stage divides: optimiser states and gradients from 2 on, parameters too with 3; "
        "DeepSpeed reads and writes a disk with 3 alone",
    ),
    SupportedCombination(
        "nf4",
        ("lora", "dora", "rslora", "none"),
        (("none",), ("none",), ("none", "cpu"), ()),
        "ZeRO-3 divides packed 4-bit weights but not their scales, and DoRA then reads weights that are not there",
    ),
    SupportedCombination("nf4", ("full",), ((), (), (), ()), "4-bit weights take no gradient"),
)
"""Tests train every combination that the table accepts; `nvme` is in one test alone, which takes minutes."""


def check_combination(config: Config) -> None:
    """Raise `InputError` for a combination of quantisation, adapter, ZeRO stage and offload that is not in `TABLE`."""
    quantization, kind = config.adapter.quantization, config.adapter.kind
    stage, offload = config.deepspeed.stage, config.deepspeed.offload
    row = next(row for row in TABLE if row.quantization == quantization and kind in row.adapters)
    if not any(row.offloads):
        others = [name for each in TABLE if each.quantization == quantization for name in each.adapters if name != kind]
        raise InputError(
            f"adapter.kind: {kind} does not go with adapter.quantization {quantization} ({row.why}); "
            f"accepted: {', '.join(others)}"
        )
    if not row.offloads[stage]:
        stages = [str(each) for each in STAGES if row.offloads[each]]
        raise InputError(
            f"deepspeed.stage: {stage} does not go with adapter.quantization {quantization} ({row.why}); "
            f"accepted: {', '.join(stages)}"
        )
    if offload not in row.offloads[stage]:
        needed = " or ".join(str(each) for each in STAGES if offload in row.offloads[each])
        if needed:
            raise InputError(f"deepspeed.offload: {offload} needs deepspeed.stage {needed}, got {stage}")
        raise InputError(
            f"deepspeed.offload: {offload} does not go with adapter.quantization {quantization}; "
            f"accepted: {', '.join(row.offloads[stage])}"
        )


def check_pool(config: Config) -> None:
    """Raise `InputError` when what stands on padding is to count, and batches need not have any."""
    if config.train.pool == "last_padded" and config.train.batching != "padded":
        raise InputError(
            f"train.pool: last_padded reads padding, and train.batching is {config.train.batching}; accepted: last, or "
            "train.batching: padded"
        )
    if config.train.padding == "token" and config.train.batching != "padded":
        raise InputError(
            f"train.padding: token stands on padding, and train.batching is {config.train.batching}; accepted: zeros, "
            "or train.batching: padded"
        )


def check_gpu_share(resources: ResourcesConfig) -> None:
    """Raise `InputError` for GPUs of a worker that it could not use.

    A worker computes on one GPU, and NCCL does not connect two workers on one GPU.
    """
    gpus = resources.gpus_per_worker
    if resources.accelerator is not None and not gpus:
        raise InputError(
            f"resources.accelerator: {resources.accelerator} is a kind of GPU, and resources.gpus_per_worker is 0; "
            "accepted: null, or resources.gpus_per_worker 1"
        )
    if gpus > 1:
        raise InputError(
            f"resources.gpus_per_worker: a worker computes on one GPU, got {gpus:g}; accepted: 0, 1, or with "
            "resources.workers 1 a share of a GPU; more GPUs: resources.workers"
        )
    if 0 < gpus < 1 and resources.workers > 1:
        raise InputError(
            f"resources.gpus_per_worker: a share of a GPU ({gpus:g}) is for one worker, got resources.workers "
            f"{resources.workers}; accepted: 0, 1, or resources.workers 1"
        )


def list_combinations() -> list[dict[str, str]]:
    """Return `TABLE` in words, for people: what each stage accepts as `deepspeed.offload`, `-` where it is refused."""
    return [
        {
            "adapter.quantization": row.quantization,
            "adapter.kind": ", ".join(row.adapters),
            **{f"ZeRO-{stage}": ", ".join(row.offloads[stage]) or "-" for stage in STAGES},
            "because": row.why,
        }
        for row in TABLE
    ]


def format_markdown_table() -> str:
    """Return `TABLE` in Markdown, as it stands in the documentation."""
    rows = list_combinations()
    lines = [f"| {' | '.join(rows[0])} |", f"| {' | '.join('---' for _ in rows[0])} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row.values())} |" for row in rows)])
