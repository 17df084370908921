"""`gazetune stop`: end a running search so that it can be resumed, or one of its trials."""

from __future__ import annotations

import argparse

from gazetune.cli.options import Subparsers, add_storage_option
from gazetune.cli.outcome import Outcome
from gazetune.files.paths import resolve_path


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("stop", help="stop a running search, or one trial of it", allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", help="name of the search")
    parser.add_argument("--trial", metavar="ID", help="stop this trial alone, at its next evaluation: it is PRUNED")
    add_storage_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Ask the driver, and say what it will do."""
    from gazetune.search.stop import request_stop

    answer = request_stop(resolve_path(args.storage, "--storage"), args.name, args.trial)
    return Outcome(None, lambda: print(answer))
