"""The plan of a run or a search as a JSON object: memory, slots, training examples, disk, hours and price.

A config is planned by the memory of its workers alone. A search space is planned by its largest trial, and by what all
of its trials together take; the second part is `search` in the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

import torch

from gazetune.cluster.capacity import NodeResources, largest_resources, require_slots
from gazetune.cluster.connect import count_machine_cpus
from gazetune.config import Config, ConfirmConfig, ResourcesConfig
from gazetune.config.config_file import load_config
from gazetune.config.yaml_file import read_yaml
from gazetune.errors import InputError
from gazetune.evaluate.statistics import (
    POWER,
    TYPICAL_DISCORDANCE,
    pairs_needed,
    smallest_detectable_difference,
)
from gazetune.reward.model.checks.backbone import check_backbone
from gazetune.search.input_checks import check_space_backbones
from gazetune.search.planning.expected_work import ASSUMPTION
from gazetune.search.planning.head_memory import estimate_head_memory
from gazetune.search.planning.largest_trial import find_largest_trial
from gazetune.search.planning.plan import SearchPlan, TrialSeconds, TrialSizes, plan_search
from gazetune.search.planning.plan_options import PlanOptions
from gazetune.search.planning.prices import read_prices
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.shipped_spaces import find_space_file
from gazetune.search.space.space_file import read_space
from gazetune.search.stopping.caps import KEPT_BACK
from gazetune.train.checks import check_config
from gazetune.train.limits.compatibility import check_combination
from gazetune.train.limits.memory_estimate import MemoryEstimate, estimate_memory
from gazetune.train.limits.memory_items import MemoryItem
from gazetune.train.speed_calibration import Calibration, measure_speed
from gazetune.trials.start.data_sets import check_sources


class MemoryRow(TypedDict):
    """Bytes of one worker with a ZeRO stage and an offload."""

    stage: int
    offload: str
    chosen: bool
    """Whether the config has this stage and offload."""
    refused: str | None
    """Why the config cannot train with them, where it cannot."""
    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    buffers: int
    activations: int
    outside: int
    """What CUDA and NCCL allocate beside torch."""
    device: int
    """Of the phase that takes the most: not all of the items are there together."""
    certain: int
    """What of it no estimate is in."""
    host: int
    """Of rank 0."""
    host_of_all_workers: int
    """Where all workers of a trial are on one machine."""
    nvme: int
    items: list[ItemRow]


class ItemRow(TypedDict):
    """Something that a worker holds."""

    name: str
    kind: str
    bytes: int
    place: str
    """`device`, `host` or `disk`."""
    phases: list[str]
    """When it is there: `start`, `pass`, `step`, `evaluation`."""
    source: str
    """File and setting of the library that allocates it, or who measured it."""


class HoursRow(TypedDict):
    """Hours of a search."""

    trials: float
    baselines_at_most: float
    confirmation_at_most: float


class PriceRow(TypedDict):
    """What the hours cost on a kind of machine."""

    instance: str | None
    price: float | None
    """None where a worker does not fit."""


class SearchDocument(TypedDict):
    """What a search takes; sizes in bytes."""

    trials: int
    slots: int
    shapes: list[dict[str, float]]
    nodes: list[dict[str, str | float]]
    pairs: dict[str, int]
    visible: VisibleDocument
    evaluated_at: list[int]
    examples: ExamplesDocument
    kept_models: int
    disk_peak: int
    head_memory: dict[str, int]
    """Memory of the machine where the driver runs, beside the workers that may be there; see `HeadMemory`."""
    confirmation: ConfirmationDocument | None
    """None with `search.confirm: off`."""
    calibration: dict[str, float] | None
    hours: HoursRow | None
    gpu_hours: HoursRow | None
    price: list[PriceRow] | None


class VisibleDocument(TypedDict):
    """What the comparison on test can show."""

    test_pairs: int
    discordance: float
    """Share of the pairs on which two models are taken to differ."""
    power: float
    """Chance that a difference of this size is found."""
    difference: float | None
    """The smallest such difference of accuracies; None where no difference can show."""
    pairs_for_5_points: int
    """Test pairs that a difference of 5 points takes."""


class ConfirmationDocument(TypedDict):
    """What confirms the winner, see `search.confirm`."""

    top: int
    folds: int
    seeds: int
    controls: list[str]
    trainings: int
    """Full trainings at most."""
    on_folds: int
    """Of these, the ones that choose among the best trials."""
    of_caps: float
    """Share of each cap that is kept back for it."""


class ExamplesDocument(TypedDict):
    """Training examples of all trials together."""

    without_pruning: float
    expected: int
    assumption: str


class PlanDocument(TypedDict):
    """What a run, or the largest trial of a search, takes; sizes in bytes."""

    kind: Literal["train", "search", "ablation"]
    backbone: str
    adapter: str
    quantization: str
    parameters: dict[str, int]
    workers: int
    pairs_per_worker: int
    positions: int
    positions_per_pass: int
    positions_per_evaluation_pass: int
    gradient_checkpointing: bool
    activations: dict[str, int]
    memory_per_worker: list[MemoryRow]
    disk_per_run: dict[str, int]
    search: NotRequired[SearchDocument]


def plan_file(file: str, overrides: Sequence[str], options: PlanOptions) -> PlanDocument:
    """Return the plan of a config or of a search space. Nothing is started.

    Parameters
    ----------
    file
        A YAML config, a search space, or the name of a shipped space.
    overrides
        `KEY=VALUE` entries that are set in it.

    Raises
    ------
    InputError
        For whatever `gazetune train` or `gazetune search` would refuse about the file before they start anything, an
        option that does not go with it, and a table of prices that cannot be read.
    """
    path = Path(file) if Path(file).suffix in (".yaml", ".yml") else find_space_file(file)
    if "space" not in read_yaml(path):
        config = load_config(path, overrides)
        check_config(config)
        config = check_backbone(config)
        document = describe_memory("train", config, estimate_memory(config))
        options.refuse_all(file)
        return document
    space = read_space(path, overrides=overrides)
    check_space_backbones(space)
    check_sources(space.data_configs())
    largest, memory = find_largest_trial(space)
    document = describe_memory("search", largest, memory)
    document["search"] = _plan_whole_search(space, largest, memory, options)
    return document


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


def _plan_whole_search(
    space: SearchSpace, largest: Config, memory: MemoryEstimate, options: PlanOptions
) -> SearchDocument:
    prices = () if options.prices is None else read_prices(options.prices)
    needed = largest_resources(space.resource_shapes())
    if options.price is not None and not needed.gpus:
        raise InputError("--price: is that of a GPU hour, and resources.gpus_per_worker is 0; accepted: --prices FILE")
    nodes = list_nodes(options, needed)
    plan = plan_search(space, nodes, TrialSizes.from_memory_estimate(memory))
    measured = None
    if options.calibrate:
        require_this_machine(largest.resources, "--calibrate: ", "")
        measured = measure_speed(largest)
        plan = plan_search(space, nodes, TrialSizes(measured.checkpoint, measured.saved_model))
    document = _describe_search(plan, nodes, measured)
    document["confirmation"] = _describe_confirmation(space.config.search.confirm, plan)
    speed = find_speed(options, measured)
    if speed is None:
        return document
    trials, baselines, confirmation = (
        plan.trial_hours(speed),
        plan.baseline_hours(speed),
        plan.confirmation_hours(speed),
    )
    together = 0.0 if plan.confirmation is None else confirmation * plan.confirmation_rounds / sum(plan.confirmation)
    document["hours"] = {
        "trials": trials / plan.slots,
        "baselines_at_most": baselines,
        "confirmation_at_most": together,
    }
    document["gpu_hours"] = {
        "trials": trials * needed.gpus,
        "baselines_at_most": baselines * needed.gpus,
        "confirmation_at_most": confirmation * needed.gpus,
    }
    everything = trials + baselines + confirmation
    if options.price is not None:
        document["price"] = [{"instance": None, "price": everything * needed.gpus * options.price}]
    elif prices:
        document["price"] = [{"instance": each.name, "price": each.cost_of_slot(everything, needed)} for each in prices]
    return document


def _describe_confirmation(settings: ConfirmConfig | None, plan: SearchPlan) -> ConfirmationDocument | None:
    if settings is None or plan.confirmation is None:
        return None
    return {
        "top": settings.top,
        "folds": settings.folds,
        "seeds": settings.seeds,
        "controls": list(settings.controls),
        "trainings": sum(plan.confirmation),
        "on_folds": plan.confirmation[0],
        "of_caps": KEPT_BACK,
    }


def describe_visible(pairs: int) -> VisibleDocument:
    """Return what so many test pairs can show."""
    return {
        "test_pairs": pairs,
        "discordance": TYPICAL_DISCORDANCE,
        "power": POWER,
        "difference": smallest_detectable_difference(pairs) if pairs else None,
        "pairs_for_5_points": pairs_needed(0.05),
    }


def list_nodes(options: PlanOptions, needed: ResourcesConfig) -> list[NodeResources]:
    """Return the nodes to plan for; `needed` is what a trial occupies at most.

    Raises
    ------
    InputError
        When they are this machine, and it does not hold one trial.
    """
    if options.cpus is None:
        return [require_this_machine(needed, "", "; --nodes, --cpus and --gpus describe another cluster")]
    numbers = range(1, (options.nodes or 1) + 1)
    return [NodeResources(f"node {number}", options.cpus, options.gpus or 0.0) for number in numbers]


def require_this_machine(needed: ResourcesConfig, before: str, after: str) -> NodeResources:
    """Return this machine, or refuse when it does not hold one trial, with words before and after the reason."""
    here = NodeResources("this machine", count_machine_cpus(), torch.cuda.device_count())
    try:
        require_slots([here], needed.model_copy(update={"accelerator": None}))
    except InputError as error:
        raise InputError(f"{before}{error}{after}") from None
    return here


def find_speed(options: PlanOptions, measured: Calibration | None) -> TrialSeconds | None:
    """Return how fast a trial is, as it was measured or given; None where it is not known."""
    if measured is not None:
        return TrialSeconds(
            measured.seconds_per_example, measured.seconds_per_evaluated_pair, measured.seconds_per_save
        )
    return None if options.examples_per_second is None else TrialSeconds(1 / options.examples_per_second)


def _describe_search(plan: SearchPlan, nodes: Sequence[NodeResources], measured: Calibration | None) -> SearchDocument:
    """Return the document without hours and price, which need a speed."""
    head = estimate_head_memory(plan.slots)
    return {
        "trials": plan.trials,
        "slots": plan.slots,
        "shapes": [{**shape.model_dump(), "slots": slots} for shape, slots in plan.shapes.items()],
        "nodes": [{"name": node.name, "cpus": node.cpus, "gpus": node.gpus} for node in nodes],
        "pairs": {"train": plan.pairs[0], "validation": plan.pairs[1]},
        "visible": describe_visible(plan.test_pairs),
        "evaluated_at": list(plan.evaluated_at),
        "examples": {
            "without_pruning": plan.without_pruning.examples,
            "expected": round(plan.with_pruning.examples),
            "assumption": ASSUMPTION,
        },
        "kept_models": plan.kept_models,
        "disk_peak": plan.peak_disk,
        "head_memory": {**asdict(head), "total": head.total},
        "confirmation": None,
        "calibration": None if measured is None else asdict(measured),
        "hours": None,
        "gpu_hours": None,
        "price": None,
    }
