"""`gazetune search`: search a space, and print what won."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gazetune.errors import InputError, did_you_mean


def add_parser(subparsers: Any) -> None:
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
        type=float,
        metavar="HOURS",
        help="end early, with the comparison, after so many hours (search.max_hours)",
    )
    parser.add_argument(
        "--max-gpu-hours",
        type=float,
        metavar="HOURS",
        help="the same for hours of training times GPUs (search.max_gpu_hours)",
    )
    parser.add_argument(
        "--max-disk", metavar="SIZE", help="the same for the folder of the search, such as 20GB (search.max_disk)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="set a config key, such as data.source=pairs.jsonl; may be repeated",
    )
    parser.add_argument(
        "--warm-start",
        metavar="SEARCH",
        help="let the sampler know another search's COMPLETE trials: its name, or folder",
    )
    parser.add_argument(
        "--storage",
        type=Path,
        default=Path("gazetune_runs"),
        metavar="DIR",
        help="folder of all results (default: ./gazetune_runs)",
    )
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow server (default: a sqlite file in the storage)")
    parser.add_argument("--address", metavar="ADDRESS", help="join a running Ray cluster; auto finds it")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the search and print its document."""
    from rich.console import Console

    from gazetune.cli.output import stdout_for_results

    _check_what_to_search(args)
    with stdout_for_results():
        from gazetune.report.table import print_table
        from gazetune.search.run import resume, search

        if args.resume is not None:
            document = resume(args.resume, args.storage, args.address, _caps(args))
        else:
            document = search(
                space_file=space_file(args.space),
                name=args.name,
                trials=args.trials,
                overrides=_overrides(args),
                storage=args.storage,
                tracking_uri=args.tracking_uri,
                address=args.address,
                warm_start=args.warm_start,
            )
    if args.json:
        print(document.dumps())
    else:
        print_table(document, Console())
    return 0


def _overrides(args: argparse.Namespace) -> list[str]:
    limit = [] if args.max_failures is None else [f"search.max_failures={args.max_failures}"]
    return [*args.overrides, *limit, *_caps(args)]


def _caps(args: argparse.Namespace) -> list[str]:
    given = {"max_hours": args.max_hours, "max_gpu_hours": args.max_gpu_hours, "max_disk": args.max_disk}
    return [f"search.{key}={value}" for key, value in given.items() if value is not None]


def _check_what_to_search(args: argparse.Namespace) -> None:
    """Refuse a command line without a search, and one that would change the search it resumes."""
    if args.resume is None:
        if args.space is None:
            raise InputError("search: needs SPACE or --resume NAME")
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
    for option, value in given.items():
        if value is not None:
            raise InputError(
                f"--resume {args.resume}: {option} cannot be changed; accepted: --max-hours, --max-gpu-hours, "
                "--max-disk, --storage, --address, --json"
            )


def space_file(space: str) -> Path:
    """Return the file of a search space, given by its path or as the name of a shipped one.

    Raises
    ------
    InputError
        When there is neither.
    """
    path = Path(space)
    if path.is_file():
        return path
    shipped = shipped_spaces()
    if space in shipped:
        return shipped[space]
    raise InputError(f"search space '{space}': neither a file nor a shipped space; {did_you_mean(space, shipped)}")


def shipped_spaces() -> dict[str, Path]:
    """Return the search spaces that come with the package, by name."""
    package = Path(__file__).parents[1]
    # In the wheel they stand inside the package, in a checkout beside it.
    folders = (package / "search_spaces", package.parent / "search_spaces")
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}
