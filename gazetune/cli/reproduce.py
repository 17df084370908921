"""`gazetune reproduce`: a finished run once more, and whether its figures are the same."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option
from gazetune.cli.program.outcome import Outcome
from gazetune.files.names import check_name

if TYPE_CHECKING:
    from gazetune.models.reproduce import Reproduction


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("reproduce", help="run a finished run again, and compare", allow_abbrev=False)
    parser.add_argument(
        "run_name",
        metavar="RUN",
        help="a run's name or folder, NAME:RANK or NAME:ID of a search, NAME:ARM/SEED of an ablation, or an MLflow run "
        "id",
    )
    parser.add_argument("--name", help="name of the new run (default: that of the old one with -again)")
    add_storage_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Train again and compare."""
    from dataclasses import asdict

    if args.name is not None:
        check_name(args.name, "--name")
    from gazetune.models.reproduce import reproduce_run
    from gazetune.report.activity import ActivityLines

    def tell(line: str) -> None:
        with ActivityLines() as lines:
            lines.print_line(line)

    found = reproduce_run(args.run_name, args.storage, args.name, tell)
    return Outcome({**asdict(found), "identical": found.is_identical}, lambda: _print_reproduction(found))


def _print_reproduction(found: Reproduction) -> None:
    print(f"{found.run} again: {found.again}")
    for split, both in found.splits.items():
        same = (
            "the same rewards" if both.largest_difference == 0 else f"rewards differ by {both.largest_difference:.3g}"
        )
        print(f"{split} accuracy {both.accuracy_before:.4f}, now {both.accuracy:.4f}: {same}")
    for difference in found.differences:
        print(f"another now: {difference}")
    if not found.is_identical and not found.differences:
        print("Nothing that is noted differs: a library does not add up in a fixed order here, such as on a GPU.")
