"""What an ablation will take before it starts: cells, training examples, slots, hours and price. Nothing is started.

A study names backbones, data sets and predictors that may not be at hand yet. What cannot be read is listed with its
reason, and the plan has what the rest says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from gazetune.ablation.study.study import Study
from gazetune.cluster.capacity import NodeResources, count_slots, largest_resources
from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.reward.data.rendered_length import load_pair_splits
from gazetune.reward.model.checks.backbone import check_backbone
from gazetune.search.planning.memory_document import describe_memory
from gazetune.search.planning.plan import TrialSeconds
from gazetune.search.planning.plan_document import describe_visible, find_speed, list_nodes, require_this_machine
from gazetune.search.planning.plan_options import PlanOptions
from gazetune.search.planning.plan_rows import PlanDocument, VisibleDocument
from gazetune.search.planning.prices import read_prices
from gazetune.train.limits.memory_estimate import MemoryEstimate, configured_memory, estimate_memory
from gazetune.train.speed_calibration import measure_speed
from gazetune.train.steps import StepPlan

PUBLISHED_TEST_SHARES = (0.85, 0.15, 0.0)
"""Shares of a source that has a published test split beside its pairs (see `data.splits`)."""


class PairsRow(TypedDict):
    """One data set."""

    source: str
    train: int
    validation: int
    visible: VisibleDocument
    """What its test pairs can show."""


class AblationPlan(TypedDict):
    """What an ablation takes."""

    name: str
    arms: int
    seeds: list[int]
    cells: int
    slots: int
    """Cells that run at a time."""
    nodes: list[dict[str, str | float]]
    pairs: list[PairsRow]
    training_examples: int | None
    """Of all cells together; None where the pairs of some data set are not known."""
    hours: float | None
    """With all slots at work; None without a speed, or without the examples."""
    gpu_hours: float | None
    price: list[dict[str, str | float | None]] | None
    largest: PlanDocument | None
    """What the largest cell takes; None where no backbone can be read."""
    missing: list[str]
    """What could not be read, and why."""


@dataclass(frozen=True)
class _Pairs:
    train: int
    validation: int
    test: int


def plan_ablation(study: Study, options: PlanOptions) -> AblationPlan:
    """Plan an ablation on some nodes.

    Raises
    ------
    InputError
        When the nodes do not hold one cell, for a table of prices that cannot be read, and for options that do not go
        together.
    """
    missing: dict[str, None] = {}
    configs = list(study.arm_configs.values())
    _check_predictors(configs, missing)
    pairs = _read_pairs(configs, missing)
    found = _find_largest(configs, missing)
    needed = largest_resources(study.resource_shapes())
    if options.price is not None and not needed.gpus:
        raise InputError("--price: is that of a GPU hour, and resources.gpus_per_worker is 0; accepted: --prices FILE")
    nodes = list_nodes(options, needed)
    measured = None
    if options.calibrate:
        if found is None:
            raise InputError(f"--calibrate: no cell can be built here: {next(iter(missing))}")
        require_this_machine(found[0].resources, "--calibrate: ", "")
        measured = measure_speed(found[0])
    examples = _count_examples(study, pairs)
    slots = min(len(study.cells), count_slots(nodes, needed.model_copy(update={"accelerator": None})))
    speed = find_speed(options, measured)
    hours = None if speed is None or examples is None else _count_hours(study, pairs, speed)
    return {
        "name": study.name,
        "arms": len(study.arms),
        "seeds": list(study.seeds),
        "cells": len(study.cells),
        "slots": slots,
        "nodes": [{"name": node.name, "cpus": node.cpus, "gpus": node.gpus} for node in nodes],
        "pairs": [
            {
                "source": source,
                "train": each.train,
                "validation": each.validation,
                "visible": describe_visible(each.test),
            }
            for source, each in {
                config.data.source: pairs[key] for key, config in _by_pairs(configs).items() if key in pairs
            }.items()
        ],
        "training_examples": examples,
        "hours": None if hours is None else hours / slots,
        "gpu_hours": None if hours is None else hours * needed.gpus,
        "price": None if hours is None else _list_prices(options, hours, needed.gpus, nodes, study),
        "largest": None if found is None else describe_memory("ablation", *found),
        "missing": list(missing),
    }


def _by_pairs(configs: Sequence[Config]) -> dict[str, Config]:
    """Return a config for each set of pairs, by what its pairs follow from."""
    found: dict[str, Config] = {}
    for config in configs:
        found.setdefault(_pairs_key(config), config)
    return found


def _pairs_key(config: Config) -> str:
    rendered = "" if config.data.max_chars_of == "contents" else config.backbone
    return f"{config.data.model_dump_json()} {rendered}"


def _check_predictors(configs: Sequence[Config], missing: dict[str, None]) -> None:
    for config in {
        (each.gaze.predictor, each.gaze.path): each for each in configs if each.fusion.kind != "none"
    }.values():
        try:
            create_predictor(config)
        except InputError as error:
            missing[str(error)] = None


def _read_pairs(configs: Sequence[Config], missing: dict[str, None]) -> dict[str, _Pairs]:
    found = {}
    for key, config in _by_pairs(configs).items():
        try:
            splits = load_pair_splits(config)
        except InputError as error:
            missing[str(error)] = None
            if config.data.pairs is not None:
                found[key] = _guess_pairs(config)
                missing[
                    f"{config.data.source}: taken for {config.data.pairs} pairs (data.pairs), which is the most"
                ] = None
            continue
        found[key] = _Pairs(len(splits.train), len(splits.validation), len(splits.test))
    return found


def _guess_pairs(config: Config) -> _Pairs:
    """Return at most how many pairs a source gives that cannot be read yet, where `data.pairs` says how many."""
    shares = config.data.splits or PUBLISHED_TEST_SHARES
    train, validation, test = (round(share * (config.data.pairs or 0)) for share in shares)
    return _Pairs(train, validation, test)


def _find_largest(configs: Sequence[Config], missing: dict[str, None]) -> tuple[Config, MemoryEstimate] | None:
    """Return the arm whose workers hold the most on their devices, and its plan; None where no arm can be built."""
    refused: set[str] = set()
    largest: tuple[int, Config, MemoryEstimate] | None = None
    # What decides about memory; measures and seeds do not.
    keys = {"backbone", "adapter", "fusion", "train", "deepspeed", "data", "resources", "preset"}
    for config in {each.model_dump_json(include=keys): each for each in configs}.values():
        if config.backbone in refused:
            continue
        try:
            memory = estimate_memory(check_backbone(config))
        except InputError as error:
            missing[str(error)] = None
            refused.add(config.backbone)
            continue
        size = configured_memory(config, memory).device_peak
        if largest is None or size > largest[0]:
            largest = size, config, memory
    return None if largest is None else largest[1:]


def _count_examples(study: Study, pairs: dict[str, _Pairs]) -> int | None:
    """Return the training examples of all cells; None where the pairs of some arm are not known."""
    total = 0
    for config in study.arm_configs.values():
        if _pairs_key(config) not in pairs:
            return None
        plan = StepPlan.from_config(config.train, pairs[_pairs_key(config)].train)
        total += len(study.seeds) * plan.examples_after(plan.total_steps)
    return total


def _count_hours(study: Study, pairs: dict[str, _Pairs], speed: TrialSeconds) -> float:
    """Return the hours of all cells, one after another."""
    seconds = 0.0
    for config in study.arm_configs.values():
        own = pairs[_pairs_key(config)]
        plan = StepPlan.from_config(config.train, own.train)
        evaluations = len(plan.evaluation_steps(config.train.eval_every))
        evaluated = evaluations * own.validation + own.test
        seconds += plan.examples_after(plan.total_steps) * speed.per_example
        seconds += evaluated * speed.per_evaluated_pair + evaluations * speed.per_save
    return len(study.seeds) * seconds / 3600


def _list_prices(
    options: PlanOptions, hours: float, gpus: float, nodes: Sequence[NodeResources], study: Study
) -> list[dict[str, str | float | None]] | None:
    if options.price is not None:
        return [{"instance": None, "price": hours * gpus * options.price}]
    if options.prices is None:
        return None
    needed = largest_resources(study.resource_shapes())
    return [{"instance": each.name, "price": each.cost_of_slot(hours, needed)} for each in read_prices(options.prices)]
