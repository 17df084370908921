"""`gazetune plan`: what a run or a search needs, before anything starts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazetune.cli.plan_search import add_options, check_options, refuse_options, search_document, search_lines
from gazetune.errors import InputError

if TYPE_CHECKING:
    from gazetune.config import Config
    from gazetune.search.space.search_space import SearchSpace
    from gazetune.train.limits.memory_estimate import MemoryEstimate

MIB, GIB = 2**20, 2**30


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("plan", help="print what a run or search needs", allow_abbrev=False)
    parser.add_argument("file", metavar="FILE", help="a YAML config, a search space, or the name of a shipped space")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="set a config key, such as resources.workers=4; may be repeated",
    )
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the plan as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan, and print the plan."""
    from gazetune.cli.output import stdout_for_results

    with stdout_for_results():
        check_options(args)
        space, config, plan = plan_of(args.file, args.overrides)
        document = document_of("train" if space is None else "search", config, plan)
        if space is not None:
            document["search"] = search_document(args, space, config, plan)
        else:
            refuse_options(args)
    if args.json:
        print(json.dumps(document, indent=2))
    else:
        _print(document)
    return 0


def plan_of(file: str, overrides: list[str]) -> tuple[SearchSpace | None, Config, MemoryEstimate]:
    """Return the space where `file` is one, the config (of it) that needs the most memory, and the plan of that.

    Raises
    ------
    InputError
        For whatever `gazetune train` or `gazetune search` would refuse about the file before they start anything.
    """
    from gazetune.config.yaml_file import load_config, read_yaml
    from gazetune.search.planning.largest_trial import find_largest_trial
    from gazetune.search.space.shipped_spaces import find_space_file
    from gazetune.search.space.space_file import read_space
    from gazetune.train.checks import check_config
    from gazetune.train.limits.memory_estimate import estimate_memory

    path = Path(file) if Path(file).suffix in (".yaml", ".yml") else find_space_file(file)
    if "space" in read_yaml(path):
        space = read_space(path, overrides=overrides)
        return (space, *find_largest_trial(space))
    config = load_config(path, overrides)
    check_config(config)
    return None, config, estimate_memory(config)


def document_of(kind: str, config: Config, plan: MemoryEstimate) -> dict[str, Any]:
    """Return a plan as a JSON object; all sizes in bytes."""
    from gazetune.train.limits.compatibility import check_combination

    rows = []
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
                "activations": plan.activations,
                "device": each.device_total + plan.activations,
                "host": each.host,
                "nvme": each.disk,
            }
        )
    return {
        "kind": kind,
        "backbone": config.backbone,
        "adapter": config.adapter.kind,
        "quantization": config.adapter.quantization,
        "parameters": {"total": plan.size.value_count, "trained": sum(plan.size.trained)},
        "workers": config.resources.workers,
        "pairs_per_worker": plan.pairs,
        "positions": plan.positions,
        "gradient_checkpointing": config.train.gradient_checkpointing,
        "activations": {"kept": plan.activations_kept, "checkpointed": plan.activations_checkpointed},
        "memory_per_worker": rows,
        "disk_per_run": {"last": plan.checkpoint, "best": plan.saved_model},
    }


def _print(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    parameters, activations, disk = document["parameters"], document["activations"], document["disk_per_run"]
    whose = "The largest trial" if document["kind"] == "search" else "The run"
    lines = [
        f"{whose}: {document['backbone']}, adapter {document['adapter']}, quantization {document['quantization']}, "
        f"{document['workers']} worker(s)",
        f"Parameters: {parameters['total']:,}, of which {parameters['trained']:,} train",
        f"Activations: {document['pairs_per_worker']} pair(s) of two conversations of up to {document['positions']} "
        f"positions take {_size(activations['kept'])}, with gradient checkpointing "
        f"{_size(activations['checkpointed'])} (now {'on' if document['gradient_checkpointing'] else 'off'})",
        f"Disk of a run: checkpoint {_size(disk['last'])}, best model {_size(disk['best'])}",
    ]
    searched = search_lines(document["search"], _size) if document["kind"] == "search" else []
    for line in [*searched, *lines]:
        console.print(Text(line))
    rows = document["memory_per_worker"]
    unit, name = (GIB, "GiB") if max(row["device"] for row in rows) >= GIB else (MIB, "MiB")
    columns = ("parameters", "gradients", "optimizer", "gathered", "activations", "device", "host", "nvme")
    headings = ("param.", "grad.", "optim.", "gather", "activ.", "device", "host", "nvme")
    table = Table(title=f"Memory of one worker, {name}", title_justify="left", box=None, pad_edge=False)
    for heading in ("ZeRO", "offload", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        sizes = ["-"] * len(columns) if row["refused"] else [f"{row[column] / unit:.2f}" for column in columns]
        mark = "<" if row["chosen"] else ""
        table.add_row(f"{row['stage']}{mark}", row["offload"], *sizes, style="bold" if mark else None)
    console.print(table)
    console.print(Text("<: as configured; -: refused (gazetune doctor says why). Sizes are estimates."))


def _size(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB / 10 else f"{count / MIB:.1f} MiB"
