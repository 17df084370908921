"""`gazetune compare`: runs of any searches and ablations on the same preference pairs, item by item."""

from __future__ import annotations

import argparse

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option, path_or_name_argument
from gazetune.cli.program.outcome import Outcome


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("compare", help="compare runs on the same pairs, item by item", allow_abbrev=False)
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        type=path_or_name_argument,
        help="a run's name or folder, NAME:RANK or NAME:ID of a search, NAME:ARM of an ablation, an MLflow run id, or "
        "a file of margins; the first is compared with each of the others",
    )
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="which pairs (default: test)")
    parser.add_argument(
        "--shared", action="store_true", help="compare on the pairs that all runs have, where these differ"
    )
    add_storage_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Compare the runs' margins."""
    from gazetune.errors import InputError
    from gazetune.evaluate.comparison import compare_runs
    from gazetune.evaluate.margins import read_margins
    from gazetune.models.resolve_margins import resolve_margins
    from gazetune.report.comparison import print_comparison

    if len(args.runs) < 2:
        raise InputError(f"a comparison needs two runs, got {args.runs[0]}")
    twice = next((name for name in args.runs if args.runs.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"run {twice} is named twice; accepted: each run once")
    files = {name: resolve_margins(name, args.storage, args.split) for name in args.runs}
    compared = compare_runs({name: [read_margins(file) for file in its] for name, its in files.items()}, args.shared)
    document = {
        "split": args.split,
        **compared.to_json(),
        "files": {name: [str(file) for file in its] for name, its in files.items()},
    }
    return Outcome(document, lambda: print_comparison(compared, args.split))
