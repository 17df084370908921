"""The memory of a run's workers, and the disk that it takes, as the part of a plan that every run has."""

from __future__ import annotations

from typing import Literal

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.search.planning.plan_rows import ItemRow, MemoryRow, PlanDocument
from gazetune.train.limits.compatibility import check_combination
from gazetune.train.limits.memory_estimate import MemoryEstimate
from gazetune.train.limits.memory_items import MemoryItem


def describe_memory(kind: Literal["train", "search", "ablation"], config: Config, plan: MemoryEstimate) -> PlanDocument:
    """Return what a run takes, or the largest one of a search or an ablation."""
    return {
        "kind": kind,
        "backbone": config.backbone,
        "adapter": config.adapter.kind,
        "quantization": config.adapter.quantization,
        "parameters": {"total": plan.size.value_count, "trained": sum(plan.size.trained)},
        "workers": config.resources.workers,
        "pairs_per_worker": plan.pairs,
        "positions": plan.positions,
        "positions_per_pass": plan.pass_positions,
        "positions_per_evaluation_pass": plan.evaluation_positions,
        "gradient_checkpointing": config.train.gradient_checkpointing,
        "activations": {"kept": plan.activations_kept, "checkpointed": plan.activations_checkpointed},
        "memory_per_worker": _list_memory_rows(config, plan),
        "disk_per_run": {"last": plan.checkpoint, "best": plan.saved_model, "peak": plan.peak_disk},
    }


def _list_memory_rows(config: Config, plan: MemoryEstimate) -> list[MemoryRow]:
    rows: list[MemoryRow] = []
    for each in plan.worker_memory:
        section = config.deepspeed.model_copy(update={"stage": each.stage, "offload": each.offload})
        try:
            check_combination(config.model_copy(update={"deepspeed": section}))
            refused = None
        except InputError as error:
            refused = str(error)
        rows.append(
            {
                "stage": each.stage,
                "offload": each.offload,
                "chosen": (each.stage, each.offload) == (config.deepspeed.stage, config.deepspeed.offload),
                "refused": refused,
                "parameters": each.parameters,
                "gradients": each.gradients,
                "optimizer": each.optimizer,
                "gathered": each.gathered,
                "buffers": each.count_kind("buffers"),
                "activations": each.count_kind("activations"),
                "outside": each.count_kind("outside"),
                "device": each.device_peak,
                "certain": each.certain_peak,
                "host": each.host,
                "host_of_all_workers": each.count_host(config.resources.workers),
                "nvme": each.disk,
                "items": [_describe_item(item) for item in each.items if item.bytes],
            }
        )
    return rows


def _describe_item(item: MemoryItem) -> ItemRow:
    return {
        "name": item.name,
        "kind": item.kind,
        "bytes": item.bytes,
        "place": item.place,
        "phases": list(item.phases),
        "source": item.source,
    }
