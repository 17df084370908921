"""`gazetune doctor`: say what this machine has, what it lacks and what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option, add_tracking_option
from gazetune.cli.program.outcome import Outcome

if TYPE_CHECKING:
    from gazetune.doctor import Check


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("doctor", help="check this machine", allow_abbrev=False)
    add_json_option(parser, "print the checks as one JSON document")
    add_storage_option(parser)
    add_tracking_option(parser)
    parser.add_argument("--build-ops", action="store_true", help="first build the DeepSpeed op that CPU runs use")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Run the checks; the exit code is 1 when one FAILs."""
    from gazetune.doctor import run_checks
    from gazetune.train.limits.compatibility import list_combinations
    from gazetune.train.processes.deepspeed_op import build_op

    if args.build_ops:
        build_op()
    checks = run_checks(args.storage, args.tracking_uri)
    compatibility = list_combinations()
    document = {"checks": [check.to_json() for check in checks], "compatibility": compatibility}
    failed = any(check.level == "FAIL" for check in checks)
    return Outcome(document, lambda: _print_checks(checks, compatibility), exit_code=1 if failed else 0)


def _print_checks(checks: Sequence[Check], compatibility: Sequence[Mapping[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    styles = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}
    for check in checks:
        shown = f"{check.detail}\n{check.hint}" if check.hint else check.detail
        table.add_row(Text(check.level, styles[check.level]), Text(check.name), Text(shown, overflow="fold"))
    Console().print(table)
    stages = Table(*compatibility[0], title="deepspeed.offload that goes with each ZeRO stage", title_justify="left")
    for row in compatibility:
        stages.add_row(*row.values())
    Console().print(stages)
