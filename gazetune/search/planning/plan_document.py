"""The plan of a run or a search as a JSON object: memory, slots, training examples, disk, hours and price.

A config is planned by the memory of its workers alone. A search space is planned by its largest trial, and by what all
of its trials together take; the second part is `search` in the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

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
from gazetune.search.planning.memory_document import describe_memory
from gazetune.search.planning.plan import SearchPlan, TrialSeconds, TrialSizes, plan_search
from gazetune.search.planning.plan_options import PlanOptions
from gazetune.search.planning.plan_rows import ConfirmationDocument, PlanDocument, SearchDocument, VisibleDocument
from gazetune.search.planning.prices import read_prices
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.shipped_spaces import find_space_file
from gazetune.search.space.space_file import read_space
from gazetune.search.stopping.caps import KEPT_BACK
from gazetune.train.checks import check_config
from gazetune.train.limits.memory_estimate import MemoryEstimate, estimate_memory
from gazetune.train.speed_calibration import Calibration, measure_speed
from gazetune.trials.start.data_sets import check_sources


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
