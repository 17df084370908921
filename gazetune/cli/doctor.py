"""`gazetune doctor`: say what this machine has, what it lacks and what to do about it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("doctor", help="check this machine", allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="print the checks as one JSON document")
    parser.add_argument(
        "--storage",
        type=Path,
        default=Path("gazetune_runs"),
        metavar="DIR",
        help="folder of all results (default: ./gazetune_runs)",
    )
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow server (default: a sqlite file in the storage)")
    parser.add_argument("--build-ops", action="store_true", help="first build the DeepSpeed op that CPU runs use")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the checks, print them and return 1 when one FAILs."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from gazetune.cli.output import stdout_for_results

    with stdout_for_results():
        from gazetune.doctor import examine
        from gazetune.train.limits.compatibility import table_rows
        from gazetune.train.processes.deepspeed_op import build_op

        if args.build_op:
            build_op()
        checks = examine(args.storage, args.tracking_uri)
    if args.json:
        document = {"checks": [check.to_json() for check in checks], "compatibility": table_rows()}
        print(json.dumps(document, indent=2))
    else:
        table = Table(show_header=False, box=None, pad_edge=False)
        styles = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}
        for check in checks:
            told = f"{check.detail}\n{check.hint}" if check.hint else check.detail
            table.add_row(Text(check.level, styles[check.level]), Text(check.name), Text(told, overflow="fold"))
        Console().print(table)
        Console().print(_compatibility(table_rows()))
    return 1 if any(check.level == "FAIL" for check in checks) else 0


def _compatibility(rows: list[dict[str, str]]) -> Any:
    from rich.table import Table

    table = Table(*rows[0], title="deepspeed.offload that goes with each ZeRO stage", title_justify="left")
    for row in rows:
        table.add_row(*row.values())
    return table
