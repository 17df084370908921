"""`gazetune stop`: end a running search or ablation so that it can be resumed, or one trial of a search."""

from __future__ import annotations

import argparse

from gazetune.cli.program.options import Subparsers, add_storage_option
from gazetune.cli.program.outcome import Outcome
from gazetune.errors import InputError
from gazetune.files.paths import resolve_path


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "stop", help="stop a running search or ablation, or one trial of a search", allow_abbrev=False
    )
    parser.add_argument("name", metavar="NAME", help="name of the search or ablation")
    parser.add_argument("--trial", metavar="ID", help="stop this trial alone, at its next evaluation: it is PRUNED")
    add_storage_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Ask the driver, and say what it will do."""
    from gazetune.ablation.folder import AblationFolder
    from gazetune.search.stop import request_stop

    storage = resolve_path(args.storage, "--storage")
    if args.name in AblationFolder.list_names(storage):
        if args.trial is not None:
            raise InputError(f"--trial: '{args.name}' is an ablation, whose cells are not stopped one by one")
        from gazetune.ablation.stop import request_ablation_stop

        answer = request_ablation_stop(storage, args.name)
    else:
        answer = request_stop(storage, args.name, args.trial)
    return Outcome(None, lambda: print(answer))
