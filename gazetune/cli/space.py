"""`gazetune space show`: what a search space holds, before anything is searched."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gazetune.cli.program.options import Subparsers, add_json_option, add_set_option
from gazetune.cli.program.outcome import Outcome

if TYPE_CHECKING:
    from gazetune.search.planning.space_document import SpaceDocument


def add_parser(subparsers: Subparsers) -> None:
    """Add `space show`."""
    space = subparsers.add_parser("space", help="look at a search space", allow_abbrev=False)
    commands = space.add_subparsers(metavar="COMMAND", required=True)
    show = commands.add_parser("show", help="print size, axes, conditions and five samples", allow_abbrev=False)
    show.add_argument("file", metavar="FILE", help="a YAML search space, or the name of a shipped one")
    add_set_option(show, "set a config key, as in gazetune search; may be repeated")
    add_json_option(show, "print the space as one JSON document")
    show.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Read the space and return what it holds."""
    from gazetune.search.planning.space_document import describe_space
    from gazetune.search.space.shipped_spaces import find_space_file
    from gazetune.search.space.space_file import read_space

    document = describe_space(read_space(find_space_file(args.file), overrides=args.overrides))
    return Outcome(document, lambda: _print_space(document))


def _print_space(document: SpaceDocument) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(f"{document['name']}: {_show_size(document)}; {document['trials']} trials"))
    table = Table(box=None, pad_edge=False)
    for heading in ("axis", "values", "when"):
        table.add_column(heading, overflow="fold")
    for axis in document["axes"]:
        table.add_row(Text(axis["key"]), Text(axis["values"]), Text(axis["when"] or "always"))
    console.print(table)
    for condition in document["forbid"]:
        console.print(Text(f"forbid: {condition}"))
    for params in document["try_first"]:
        console.print(Text(f"try first: {_show_params(params)}"))
    if document["history"]:
        console.print(Text(f"history: {document['history']} trials of other searches"))
    for number, sample in enumerate(document["samples"], start=1):
        refused = f" - refused: {sample['refused']}" if sample["refused"] else ""
        console.print(Text(f"sample {number}: {_show_params(sample['params'])}{refused}"))


def _show_size(document: SpaceDocument) -> str:
    count = f"{'' if document['exact'] else 'at least '}{document['finite_combinations']:,}"
    if document["combinations"] is not None:
        return f"{count} combinations"
    return f"infinite combinations, {count} of the axes without a range"


def _show_params(params: Mapping[str, object]) -> str:
    from gazetune.search.space.conditions import shown_value

    shown = {key: f"{value:.4g}" if isinstance(value, float) else shown_value(value) for key, value in params.items()}
    return ", ".join(f"{key}={value}" for key, value in shown.items()) or "the base config"
