"""`gazetune plan`: what a run or a search needs, before anything starts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gazetune.cli.program.options import Subparsers, add_json_option, add_set_option, path_argument
from gazetune.cli.program.outcome import Outcome

if TYPE_CHECKING:
    from rich.table import Table

    from gazetune.ablation.study.planning import AblationPlan
    from gazetune.search.planning.plan_rows import (
        ConfirmationDocument,
        MemoryRow,
        PlanDocument,
        SearchDocument,
        VisibleDocument,
    )

MIB, GIB = 2**20, 2**30
_SHORT = {"evaluation": "eval."}


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("plan", help="print what a run or search needs", allow_abbrev=False)
    parser.add_argument(
        "file", metavar="FILE", help="a YAML config, a search space or a study, or the name of a shipped one"
    )
    add_set_option(parser, "set a config key, such as resources.workers=4; may be repeated")
    _add_search_options(parser)
    add_json_option(parser, "print the plan as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Plan, and return the plan."""
    from gazetune.config.yaml_file import read_yaml
    from gazetune.search.planning.plan_options import PlanOptions
    from gazetune.search.space.shipped_spaces import find_space_file
    from gazetune.search.space.space_file import is_study

    options = PlanOptions(**{name: getattr(args, name) for name in PlanOptions.__slots__})
    path = Path(args.file) if Path(args.file).suffix in (".yaml", ".yml") else find_space_file(args.file)
    if is_study(read_yaml(path)):
        from gazetune.ablation.study.planning import plan_ablation
        from gazetune.ablation.study.study_file import read_study

        plan = plan_ablation(read_study(path, overrides=args.overrides), options)
        return Outcome(plan, lambda: _print_ablation(plan))
    from gazetune.search.planning.plan_document import plan_file

    document = plan_file(args.file, args.overrides, options)
    return Outcome(document, lambda: _print_plan(document))


def _add_search_options(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument(
        "--prices", type=path_argument, metavar="FILE", help="search: YAML or CSV table of machines and prices"
    )


def _print_ablation(plan: AblationPlan) -> None:
    from rich.console import Console
    from rich.text import Text

    console, node = Console(), plan["nodes"][0]
    for line in [
        f"Cells: {plan['arms']} arms x {len(plan['seeds'])} seeds = {plan['cells']}, each to its full budget",
        f"Slots: {plan['slots']} on {len(plan['nodes'])} node(s) of {node['cpus']:g} CPUs and {node['gpus']:g} GPUs",
        *(
            f"{row['source']}: {row['train']} training pairs; {_describe_visible(row['visible'])}"
            for row in plan["pairs"]
        ),
        "Training examples of all cells: "
        + ("not known" if plan["training_examples"] is None else f"{plan['training_examples']:,}"),
        _describe_ablation_hours(plan),
        *(f"Not known yet: {reason}" for reason in plan["missing"]),
    ]:
        console.print(Text(line))
    for row in plan["price"] or ():
        shown = "no worker fits" if row["price"] is None else f"{row['price']:.2f}"
        console.print(Text(f"Price{'' if row['instance'] is None else ' on ' + str(row['instance'])}: {shown}"))
    if plan["largest"] is not None:
        for line in _describe_trial(plan["largest"]):
            console.print(Text(line))
        console.print(_build_memory_table(plan["largest"]["memory_per_worker"]))


def _describe_ablation_hours(plan: AblationPlan) -> str:
    if plan["hours"] is None or plan["gpu_hours"] is None:
        what = "the pairs of all data sets" if plan["training_examples"] is None else "a speed"
        return f"Hours: not known without {what}; --calibrate or --examples-per-second says how fast a cell is"
    return f"Hours: about {plan['hours']:.2f} with all slots at work; GPU hours: {plan['gpu_hours']:.1f}"


def _print_plan(document: PlanDocument) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    searched = _describe_search(document["search"]) if "search" in document else []
    for line in [*searched, *_describe_trial(document)]:
        console.print(Text(line))
    rows = document["memory_per_worker"]
    console.print(_build_memory_table(rows))
    console.print(Text("<: as configured; -: refused (gazetune doctor says why). Sizes are estimates."))
    console.print(Text("device: what the largest of pass, step and evaluation takes; other: buffers, CUDA and NCCL."))
    chosen = next(row for row in rows if row["chosen"])
    console.print(_build_item_table(chosen))
    if (workers := document["workers"]) > 1:
        together = _show_size(chosen["host_of_all_workers"])
        console.print(Text(f"CPU memory of {workers} workers on one machine: {together}"))


def _describe_trial(document: PlanDocument) -> list[str]:
    """Return what one trial takes, for people."""
    parameters, activations, disk = document["parameters"], document["activations"], document["disk_per_run"]
    whose = {"search": "The largest trial", "ablation": "The largest cell"}.get(document["kind"], "The run")
    return [
        f"{whose}: {document['backbone']}, adapter {document['adapter']}, quantization {document['quantization']}, "
        f"{document['workers']} worker(s)",
        f"Parameters: {parameters['total']:,}, of which {parameters['trained']:,} train",
        f"Activations: a pass of {document['positions_per_pass']} positions, as of {document['pairs_per_worker']} "
        f"pair(s) of two conversations of {document['positions']}, takes {_show_size(activations['kept'])}, with "
        "gradient checkpointing "
        f"{_show_size(activations['checkpointed'])} (now {'on' if document['gradient_checkpointing'] else 'off'})",
        f"Disk of a run: checkpoint {_show_size(disk['last'])}, best model {_show_size(disk['best'])}, "
        f"at its peak {_show_size(disk['peak'])}",
    ]


def _build_memory_table(rows: list[MemoryRow]) -> Table:
    """Return the table of bytes of one worker, one row for each ZeRO stage and offload."""
    from rich.table import Table

    unit, name = (GIB, "GiB") if max(row["device"] for row in rows) >= GIB else (MIB, "MiB")
    headings = ("param.", "grad.", "optim.", "live", "other", "act.", "device", "host", "nvme")
    table = Table(title=f"Memory of one worker, {name}", title_justify="left", box=None, pad_edge=False)
    for heading in ("ZeRO", "offload", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        sizes = [
            row["parameters"],
            row["gradients"],
            row["optimizer"],
            row["gathered"],
            row["buffers"] + row["outside"],
            row["activations"],
            row["device"],
            row["host"],
            row["nvme"],
        ]
        cells = ["-" if row["refused"] else _show_number(size / unit) for size in sizes]
        mark = "<" if row["chosen"] else ""
        table.add_row(f"{row['stage']}{mark}", row["offload"], *cells, style="bold" if mark else None)
    return table


def _build_item_table(row: MemoryRow) -> Table:
    """Return the table of what one worker holds as configured, each item with what allocates it."""
    from rich.table import Table

    title = f"One worker with ZeRO-{row['stage']}, offload {row['offload']}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("where", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("item", overflow="fold")
    table.add_column("source", overflow="fold")
    always = ["pass", "step", "evaluation"]
    for item in row["items"]:
        phases = [phase for phase in item["phases"] if phase != "start" or item["phases"] == ["start"]]
        when = "always" if phases == always else "+".join(_SHORT.get(phase, phase) for phase in phases)
        table.add_row(_show_size(item["bytes"]), item["place"], when, item["name"], item["source"])
    return table


def _show_number(size: float) -> str:
    return f"{size:.0f}" if size >= 100 else f"{size:.2f}"


def _show_size(count: float) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB / 10 else f"{count / MIB:.1f} MiB"


def _describe_search(document: SearchDocument) -> list[str]:
    """Return the plan of a search for people."""
    examples, full = document["examples"], document["evaluated_at"][-1]
    share = examples["expected"] / examples["without_pruning"]
    first = document["nodes"][0]
    here = first["name"] == "this machine"
    where = "this machine with" if here else f"{len(document['nodes'])} node(s), each with"
    rungs = ", ".join(str(at) for at in document["evaluated_at"])
    lines = [
        f"Trials: {document['trials']} of up to {full} training examples, evaluated at {rungs} on "
        f"{document['pairs']['validation']} pairs",
        f"Slots: {document['slots']} on {where} {first['cpus']:g} CPUs and {first['gpus']:g} GPUs"
        f"{_describe_shapes(document)}",
        f"Training examples: {examples['without_pruning']:.0f} without pruning; about {examples['expected']} "
        f"({100 * share:.0f} %) with it, if {examples['assumption']}",
        f"Disk of the search at its peak: {_show_size(document['disk_peak'])}, with {document['kept_models']} saved "
        "models",
        _describe_head(document["head_memory"]),
    ]
    lines.insert(1, _describe_visible(document["visible"]))
    lines.insert(-2, _describe_confirmation(document["confirmation"]))
    measured, hours, gpu_hours = document["calibration"], document["hours"], document["gpu_hours"]
    if measured is not None:
        lines.append(
            f"Calibrated: {measured['steps']} steps of the largest trial were trained here; "
            f"{1 / measured['seconds_per_example']:.1f} training examples/s, "
            f"{1 / measured['seconds_per_evaluated_pair']:.0f} validation pairs/s, a save "
            f"{measured['seconds_per_save']:.2f} s, peak memory of a worker {_show_size(measured['peak_memory'])}"
        )
    if hours is None or gpu_hours is None:
        return [*lines, "Hours: not known; --calibrate or --examples-per-second says how fast a trial is"]
    rest = "the confirmation" if document["confirmation"] is not None else "the baselines"
    key: Literal["baselines_at_most", "confirmation_at_most"] = (
        "baselines_at_most" if document["confirmation"] is None else "confirmation_at_most"
    )
    lines.append(
        f"Hours: about {hours['trials']:.3f} for the trials, and at most {hours[key]:.3f} for {rest}; "
        f"GPU hours: {gpu_hours['trials']:.2f} and {gpu_hours[key]:.2f}"
    )
    for row in document["price"] or ():
        shown = "no worker fits" if row["price"] is None else f"{row['price']:.2f}"
        lines.append(f"Price of both{'' if row['instance'] is None else ' on ' + row['instance']}: {shown}")
    return lines


def _describe_confirmation(planned: ConfirmationDocument | None) -> str:
    """Return what confirms the winner and what that costs, for people."""
    if planned is None:
        return "Confirmation: none (search.confirm: off); the best trial is compared with at most 2 trained baselines"
    on_test = planned["trainings"] - planned["on_folds"]
    return (
        f"Confirmation: at most {planned['trainings']} full trainings, {planned['on_folds']} of the best "
        f"{planned['top']} trials on {planned['folds']} folds and {on_test} that are compared on test, with "
        f"{planned['seeds']} seed(s) each; {100 * planned['of_caps']:.0f} % of each cap are kept back for it"
    )


def _describe_head(head: dict[str, int]) -> str:
    """Return what the machine needs where the driver runs."""
    parts = f"driver {_show_size(head['driver'])}, Ray {_show_size(head['ray'])}"
    slots = f"{head['slots']} slot(s) of {_show_size(head['per_slot'])}"
    total = _show_size(head["total"])
    return f"Memory of the head, where the driver runs, beside workers that are there: {total} ({parts}, {slots})"


def _describe_visible(visible: VisibleDocument) -> str:
    """Return what the comparison on test can show, for people."""
    pairs, difference = visible["test_pairs"], visible["difference"]
    size = "no gain" if difference is None else f"only gains above about {100 * difference:.0f} points"
    power, share = f"{100 * visible['power']:.0f} %", f"{100 * visible['discordance']:.0f} %"
    return (
        f"{pairs} test pairs: {size} can show, with a chance of {power} where two models differ on {share} of the "
        f"pairs; 5 points take {visible['pairs_for_5_points']} pairs"
    )


def _describe_shapes(document: SearchDocument) -> str:
    """Return how many slots there are of each shape, where trials have several."""
    if len(document["shapes"]) == 1:
        return ""
    each = [
        f"{shape['slots']} where a trial has {shape['workers']} worker(s) of {shape['cpus_per_worker']:g} CPUs and "
        f"{shape['gpus_per_worker']:g} GPUs"
        for shape in document["shapes"]
    ]
    return f"; {', '.join(each)}; what follows is for trials that all have the most"
