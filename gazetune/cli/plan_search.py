"""What `gazetune plan` says about a search beside the memory of its largest trial."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazetune.errors import InputError

if TYPE_CHECKING:
    from gazetune.cluster.capacity import NodeResources
    from gazetune.config import Config, ResourcesConfig
    from gazetune.search.planning.plan import SearchPlan, TrialSeconds
    from gazetune.search.space.search_space import SearchSpace
    from gazetune.train.limits.memory_estimate import MemoryEstimate
    from gazetune.train.speed_calibration import Calibration

_OPTIONS = ("nodes", "cpus", "gpus", "calibrate", "examples_per_second", "price", "prices")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that only a search takes."""
    parser.add_argument("--nodes", type=int, metavar="N", help="search: plan for N alike nodes, not for this machine")
    parser.add_argument("--cpus", type=float, metavar="C", help="search: CPUs of each of these nodes")
    parser.add_argument("--gpus", type=float, metavar="G", help="search: GPUs of each of these nodes (default: 0)")
    parser.add_argument(
        "--calibrate", action="store_true", help="search: train a few steps of the largest trial here, for the hours"
    )
    parser.add_argument(
        "--examples-per-second",
        type=float,
        metavar="X",
        help="search: training examples a second of one trial, for the hours",
    )
    parser.add_argument("--price", type=float, metavar="P", help="search: price of a GPU hour")
    parser.add_argument("--prices", type=Path, metavar="FILE", help="search: YAML or CSV table of machines and prices")


def refuse_options(args: argparse.Namespace) -> None:
    """Refuse options that only a search takes.

    Raises
    ------
    InputError
        When one is given.
    """
    for name in _OPTIONS:
        if getattr(args, name) not in (None, False):
            raise InputError(f"--{name.replace('_', '-')}: is for search spaces, and {args.file} is a config")


def check_options(args: argparse.Namespace) -> None:
    """Refuse values and combinations before anything is read.

    Raises
    ------
    InputError
        One line that names the option, its value and what is accepted.
    """
    least = {"nodes": 1, "cpus": 0, "gpus": 0, "examples_per_second": 0, "price": 0}
    for name, bound in least.items():
        value, whole = getattr(args, name), name in ("nodes", "gpus", "price")
        if value is not None and not (math.isfinite(value) and (value > bound or (whole and value == bound))):
            accepted = f"a number {'>=' if whole else '>'} {bound}"
            raise InputError(f"--{name.replace('_', '-')}: {value:g} is not accepted; accepted: {accepted}")
    if args.cpus is None and (args.nodes is not None or args.gpus is not None):
        raise InputError("--cpus: is missing; --nodes and --gpus describe a cluster together with it")
    if args.calibrate and args.examples_per_second is not None:
        raise InputError("--calibrate: measures what --examples-per-second gives; keep one")
    if args.price is not None and args.prices is not None:
        raise InputError("--price: stands beside --prices; keep one")
    priced = next((name for name in ("price", "prices") if getattr(args, name) is not None), None)
    if priced and not (args.calibrate or args.examples_per_second is not None):
        raise InputError(f"--{priced}: needs the hours; give --calibrate or --examples-per-second too")


def search_document(
    args: argparse.Namespace, space: SearchSpace, largest: Config, memory: MemoryEstimate
) -> dict[str, Any]:
    """Return the plan of a search as a JSON object; sizes in bytes.

    Raises
    ------
    InputError
        For what `gazetune search` would refuse, and for a table of prices that cannot be read.
    """
    from gazetune.cluster.capacity import largest_resources
    from gazetune.search.planning.plan import TrialSizes, plan_search
    from gazetune.search.planning.prices import read_prices
    from gazetune.train.speed_calibration import measure_speed

    prices = () if args.prices is None else read_prices(args.prices)
    needed = largest_resources(space.shapes())
    if args.price is not None and not needed.gpus:
        raise InputError("--price: is that of a GPU hour, and resources.gpus_per_worker is 0; accepted: --prices FILE")
    nodes = _nodes(args, needed)
    sizes = TrialSizes.from_memory_estimate(memory)
    plan = plan_search(space, nodes, sizes)
    measured = None
    if args.calibrate:
        _require_here(largest.resources, "--calibrate: ", "")
        measured = measure_speed(largest)
        plan = plan_search(space, nodes, TrialSizes(measured.checkpoint, measured.saved_model))
    speed = _speed(args, measured)
    document = _without_hours(plan, nodes, measured) | {"hours": None, "gpu_hours": None, "price": None}
    if speed is None:
        return document
    trials, baselines = plan.trial_hours(speed), plan.baseline_hours(speed)
    document["hours"] = {"trials": trials / plan.slots, "baselines_at_most": baselines}
    document["gpu_hours"] = {"trials": trials * needed.gpus, "baselines_at_most": baselines * needed.gpus}
    if args.price is not None:
        document["price"] = [{"instance": None, "price": (trials + baselines) * needed.gpus * args.price}]
    elif prices:
        document["price"] = [
            {"instance": each.name, "price": each.cost_of_slot(trials + baselines, needed)} for each in prices
        ]
    return document


def _nodes(args: argparse.Namespace, needed: ResourcesConfig) -> list[NodeResources]:
    from gazetune.cluster.capacity import NodeResources

    if args.cpus is None:
        return [_require_here(needed, "", "; --nodes, --cpus and --gpus describe another cluster")]
    return [NodeResources(f"node {number}", args.cpus, args.gpus or 0.0) for number in range(1, (args.nodes or 1) + 1)]


def _require_here(needed: ResourcesConfig, before: str, after: str) -> NodeResources:
    """Return this machine, or refuse when it does not hold one trial."""
    import torch

    from gazetune.cluster.capacity import NodeResources, require_slots
    from gazetune.cluster.connect import count_machine_cpus

    here = NodeResources("this machine", count_machine_cpus(), torch.cuda.device_count())
    try:
        require_slots([here], needed)
    except InputError as error:
        raise InputError(f"{before}{error}{after}") from None
    return here


def _speed(args: argparse.Namespace, measured: Calibration | None) -> TrialSeconds | None:
    from gazetune.search.planning.plan import TrialSeconds

    if measured is not None:
        return TrialSeconds(
            measured.seconds_per_example, measured.seconds_per_evaluated_pair, measured.seconds_per_save
        )
    return None if args.examples_per_second is None else TrialSeconds(1 / args.examples_per_second)


def _without_hours(plan: SearchPlan, nodes: list[NodeResources], measured: Calibration | None) -> dict[str, Any]:
    from gazetune.search.planning.expected_work import ASSUMPTION

    return {
        "trials": plan.trials,
        "slots": plan.slots,
        "shapes": [{**shape.model_dump(), "slots": slots} for shape, slots in plan.shapes.items()],
        "nodes": [{"name": node.name, "cpus": node.cpus, "gpus": node.gpus} for node in nodes],
        "pairs": {"train": plan.pairs[0], "validation": plan.pairs[1]},
        "evaluated_at": list(plan.evaluated_at),
        "examples": {
            "without_pruning": plan.without_pruning.examples,
            "expected": round(plan.with_pruning.examples),
            "assumption": ASSUMPTION,
        },
        "kept_models": plan.kept_models,
        "disk_peak": plan.peak_disk,
        "calibration": None if measured is None else asdict(measured),
    }


def search_lines(document: dict[str, Any], size: Any) -> list[str]:
    """Return the plan of a search for people; `size` writes bytes."""
    examples, full = document["examples"], document["evaluated_at"][-1]
    share = examples["expected"] / examples["without_pruning"]
    first = document["nodes"][0]
    here = first["name"] == "this machine"
    where = "this machine with" if here else f"{len(document['nodes'])} node(s), each with"
    rungs = ", ".join(str(at) for at in document["evaluated_at"])
    lines = [
        f"Trials: {document['trials']} of up to {full} training examples, evaluated at {rungs} on "
        f"{document['pairs']['validation']} pairs",
        f"Slots: {document['slots']} on {where} {first['cpus']:g} CPUs and {first['gpus']:g} GPUs{_shapes(document)}",
        f"Training examples: {examples['without_pruning']:.0f} without pruning; about {examples['expected']} "
        f"({100 * share:.0f} %) with it, if {examples['assumption']}",
        f"Disk of the search at its peak: {size(document['disk_peak'])}, with {document['kept_models']} saved models",
    ]
    measured, hours, gpu_hours = document["calibration"], document["hours"], document["gpu_hours"]
    if measured is not None:
        lines.append(
            f"Calibrated: {measured['steps']} steps of the largest trial were trained here; "
            f"{1 / measured['seconds_per_example']:.1f} training examples/s, "
            f"{1 / measured['seconds_per_evaluated_pair']:.0f} validation pairs/s, a save "
            f"{measured['seconds_per_save']:.2f} s, peak memory of a worker {size(measured['peak_memory'])}"
        )
    if hours is None:
        return [*lines, "Hours: not known; --calibrate or --examples-per-second says how fast a trial is"]
    lines.append(
        f"Hours: about {hours['trials']:.3f} for the trials, and at most {hours['baselines_at_most']:.3f} for the "
        f"baselines; GPU hours: {gpu_hours['trials']:.2f} and {gpu_hours['baselines_at_most']:.2f}"
    )
    for row in document["price"] or ():
        shown = "no worker fits" if row["price"] is None else f"{row['price']:.2f}"
        lines.append(f"Price of both{'' if row['instance'] is None else ' on ' + row['instance']}: {shown}")
    return lines


def _shapes(document: dict[str, Any]) -> str:
    """Return how many slots there are of each shape, where trials have several."""
    if len(document["shapes"]) == 1:
        return ""
    each = [
        f"{shape['slots']} where a trial has {shape['workers']} worker(s) of {shape['cpus_per_worker']:g} CPUs and "
        f"{shape['gpus_per_worker']:g} GPUs"
        for shape in document["shapes"]
    ]
    return f"; {', '.join(each)}; what follows is for trials that all have the most"
