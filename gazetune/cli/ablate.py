"""`gazetune ablate`: train every arm of a study with every seed, and say which differences are real."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from gazetune.ablation.study.study_document import StudyDocument


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("ablate", help="compare arms over seeds on test pairs", allow_abbrev=False)
    parser.add_argument(
        "study", metavar="STUDY", nargs="?", help="a YAML study, or the name of a shipped one, such as controls"
    )
    parser.add_argument("--show", action="store_true", help="print arms, cells and what they take; start nothing")
    parser.add_argument("--seeds", metavar="S,S", help="training seeds, such as 42,43,44, in place of the study's")
    parser.add_argument("--name", help="name of the ablation and its folder (default: the study's name)")
    parser.add_argument(
        "--resume", metavar="NAME", help="go on with an ablation that was stopped, or has failed cells; without STUDY"
    )
    add_set_option(parser, "set a config key, such as data.source=pairs.jsonl; may be repeated")
    add_storage_option(parser)
    add_tracking_option(parser)
    add_address_option(parser)
    add_json_option(parser, "print the result as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Run the ablation, go on with one, or show what it would do; return what it found."""
    _check_what_to_run(args)
    seeds = None if args.seeds is None else parse_seeds(args.seeds)
    if args.show:
        return _show_study(args, seeds)
    from gazetune.ablation.run import resume_ablation, run_ablation

    if args.resume is not None:
        document = resume_ablation(args.resume, storage=args.storage, address=args.address)
    else:
        document = run_ablation(
            args.study,
            name=args.name,
            seeds=seeds,
            overrides=args.overrides,
            storage=args.storage,
            tracking_uri=args.tracking_uri,
            address=args.address,
        )

    def print_result() -> None:
        from rich.console import Console

        from gazetune.report.ablation_markdown import print_ablation

        print_ablation(document, Console())

    return Outcome(document.to_json(), print_result)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of `--seeds`.

    Raises
    ------
    InputError
        For what is no whole number, and a seed that stands twice.

    Examples
    --------
    >>> parse_seeds("0, 1,2")
    (0, 1, 2)
    """
    from gazetune.ablation.study.study_file import check_seeds

    parts = [part.strip() for part in text.split(",")]
    return check_seeds([int(part) if part.isascii() and part.isdigit() else part for part in parts], "--seeds")


def _check_what_to_run(args: argparse.Namespace) -> None:
    """Refuse a command line without a study, and one that would change the ablation it resumes."""
    if args.resume is None:
        if args.study is None:
            raise InputError("ablate: needs STUDY or --resume NAME")
        if args.name is not None:
            check_name(args.name, "--name")
        return
    given = {
        "STUDY": args.study,
        "--show": args.show or None,
        "--seeds": args.seeds,
        "--name": args.name,
        "--set": args.overrides or None,
        "--tracking-uri": args.tracking_uri,
    }
    refuse_changes(args.resume, given, "--storage, --address, --json")


def _show_study(args: argparse.Namespace, seeds: tuple[int, ...] | None) -> Outcome:
    from gazetune.ablation.study.study_document import describe_study
    from gazetune.ablation.study.study_file import read_study
    from gazetune.search.space.shipped_spaces import find_space_file

    study = read_study(find_space_file(args.study, "study"), args.name, seeds, args.overrides)
    document = describe_study(study)
    return Outcome(document, lambda: _print_study(document))


def _print_study(document: StudyDocument) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from gazetune.search.space.conditions import shown_value

    console = Console()
    seeds = ", ".join(map(str, document["seeds"]))
    console.print(
        Text(
            f"{document['name']}: {len(document['arms'])} arms x {len(document['seeds'])} seeds ({seeds}) = "
            f"{document['cells']} cells"
        )
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("arm", "compared with", "what it sets"):
        table.add_column(heading, overflow="fold")
    for arm in document["arms"]:
        told = ", ".join(f"{key}={shown_value(value)}" for key, value in arm["sets"].items()) or "the base"
        table.add_row(Text(arm["name"]), Text(", ".join(arm["compared_with"]) or "-"), Text(told))
    console.print(table)
    console.print(Text(document["cost"]))
