"""`gazetune search`: search a space, and print what won."""

from __future__ import annotations

import argparse

from gazetune.cli.program.options import (
    Subparsers,
    add_address_option,
    add_json_option,
    add_set_option,
    add_storage_option,
    add_tracking_option,
    refuse_changes,
)
from gazetune.cli.program.outcome import Outcome
from gazetune.errors import InputError
from gazetune.files.names import check_name


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("search", help="search a space and print the winner", allow_abbrev=False)
    parser.add_argument(
        "space", metavar="SPACE", nargs="?", help="a YAML search space, or the name of a shipped one, such as demo"
    )
    parser.add_argument("--name", help="name of the search, its folder and its study (default: the space's name)")
    parser.add_argument("--resume", metavar="NAME", help="go on with a search that was stopped; instead of SPACE")
    parser.add_argument("--trials", type=int, metavar="N", help="trials in all (search.trials)")
    parser.add_argument(
        "--max-failures",
        type=int,
        metavar="N",
        help="give up when more trials FAIL for the same reason (search.max_failures)",
    )
    parser.add_argument(
        "--max-hours",
        metavar="HOURS",
        help="end early, with the comparison, after so many hours, or 30min, 1h30m (search.max_hours)",
    )
    parser.add_argument(
        "--max-gpu-hours",
        metavar="HOURS",
        help="the same for hours of training times GPUs (search.max_gpu_hours)",
    )
    parser.add_argument(
        "--max-disk", metavar="SIZE", help="the same for the folder of the search, such as 20GB (search.max_disk)"
    )
    add_set_option(parser, "set a config key, such as data.source=pairs.jsonl; may be repeated")
    parser.add_argument(
        "--warm-start",
        metavar="SEARCH",
        help="let the sampler know another search's COMPLETE trials: its name, or folder",
    )
    add_storage_option(parser)
    add_tracking_option(parser)
    add_address_option(parser)
    add_json_option(parser, "print the result as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Run the search, or go on with one, and return what it found."""
    _check_what_to_search(args)
    _check_numbers(args)
    from gazetune.report.table import print_table
    from gazetune.search.run import resume_search, run_search

    if args.resume is not None:
        document = resume_search(args.resume, storage=args.storage, address=args.address, caps=_list_caps(args))
    else:
        document = run_search(
            args.space,
            name=args.name,
            trials=args.trials,
            overrides=list_overrides(args),
            storage=args.storage,
            tracking_uri=args.tracking_uri,
            address=args.address,
            warm_start=args.warm_start,
        )

    def print_winner() -> None:
        from rich.console import Console

        print_table(document, Console())

    return Outcome(document.to_json(), print_winner)


def list_overrides(args: argparse.Namespace) -> list[str]:
    """Return the `KEY=VALUE` entries of a command line: those of `--set`, and those that options stand for."""
    limit = [] if args.max_failures is None else [f"search.max_failures={args.max_failures}"]
    return [*args.overrides, *limit, *_list_caps(args)]


def _list_caps(args: argparse.Namespace) -> list[str]:
    given = {"max_hours": args.max_hours, "max_gpu_hours": args.max_gpu_hours, "max_disk": args.max_disk}
    return [f"search.{key}={value}" for key, value in given.items() if value is not None]


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse a wrong value of an option under the option's own name, not under that of the key that it sets."""
    from gazetune.config.config_file import load_config

    for name in ("trials", "max_failures", "max_hours", "max_gpu_hours", "max_disk"):
        value = getattr(args, name)
        if value is None:
            continue
        try:
            load_config(None, [f"search.{name}={value}"])
        except InputError as error:
            raise InputError(f"--{name.replace('_', '-')}: {str(error).removeprefix('--set: ')}") from None


def _check_what_to_search(args: argparse.Namespace) -> None:
    """Refuse a command line without a search, and one that would change the search it resumes."""
    if args.resume is None:
        if args.space is None:
            raise InputError("search: needs SPACE or --resume NAME")
        if args.name is not None:
            check_name(args.name, "--name")
        return
    given = {
        "SPACE": args.space,
        "--name": args.name,
        "--trials": args.trials,
        "--max-failures": args.max_failures,
        "--set": args.overrides or None,
        "--warm-start": args.warm_start,
        "--tracking-uri": args.tracking_uri,
    }
    refuse_changes(args.resume, given, "--max-hours, --max-gpu-hours, --max-disk, --storage, --address, --json")
