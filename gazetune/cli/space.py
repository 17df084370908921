"""`gazetune space show`: what a search space holds, before anything is searched."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gazetune.errors import InputError

if TYPE_CHECKING:
    from gazetune.search.space.search_space import SearchSpace

SAMPLES = 5


def add_parser(subparsers: Any) -> None:
    """Add `space show`."""
    space = subparsers.add_parser("space", help="look at a search space", allow_abbrev=False)
    commands = space.add_subparsers(metavar="COMMAND", required=True)
    show = commands.add_parser("show", help="print size, axes, conditions and five samples", allow_abbrev=False)
    show.add_argument("file", metavar="FILE", help="a YAML search space, or the name of a shipped one")
    show.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="set a config key, as in gazetune search; may be repeated",
    )
    show.add_argument("--json", action="store_true", help="print the space as one JSON document")
    show.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the space, and print it."""
    from gazetune.cli.output import stdout_for_results

    with stdout_for_results():
        from gazetune.search.space.shipped_spaces import find_space_file
        from gazetune.search.space.space_file import read_space

        document = document_of(read_space(find_space_file(args.file), overrides=args.overrides))
    if args.json:
        print(json.dumps(document, indent=2))
    else:
        _print(document)
    return 0


def document_of(space: SearchSpace) -> dict[str, Any]:
    """Return a space as a JSON object. `combinations` is null where there are ranges of real numbers."""
    from gazetune.search.space.axes import axis_size
    from gazetune.search.space.points import first_points

    reach = space.reach()
    size = reach.size(reach.cases())
    axes = [
        {"key": axis.key, "values": str(axis), "count": axis_size(axis), "when": str(axis.when) or None}
        for axis in space.axes
    ]
    return {
        "name": space.name,
        "file": space.origin,
        "trials": space.config.search.trials,
        "combinations": None if size.infinite else size.finite,
        "finite_combinations": size.finite,
        "exact": size.exact,
        "axes": axes,
        "forbid": [str(condition) for condition in space.forbid],
        "try_first": [dict(params) for params in first_points(space)],
        "history": len(space.extras.history),
        "samples": _samples(space),
    }


def _samples(space: SearchSpace) -> list[dict[str, Any]]:
    """Return seeded random samples; `refused` says why a config cannot train, where it cannot."""
    import optuna

    from gazetune.train.checks import check_config

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=space.config.search.seed))
    samples = []
    for _ in range(SAMPLES):
        params = space.suggest(study.ask())
        refused = None
        try:
            check_config(space.trial_config(params))
        except InputError as error:
            refused = str(error)
        samples.append({"params": params, "refused": refused})
    return samples


def _print(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(f"{document['name']}: {_size(document)}; {document['trials']} trials"))
    table = Table(box=None, pad_edge=False)
    for heading in ("axis", "values", "when"):
        table.add_column(heading, overflow="fold")
    for axis in document["axes"]:
        table.add_row(Text(axis["key"]), Text(axis["values"]), Text(axis["when"] or "always"))
    console.print(table)
    for condition in document["forbid"]:
        console.print(Text(f"forbid: {condition}"))
    for params in document["try_first"]:
        console.print(Text(f"try first: {_params(params)}"))
    if document["history"]:
        console.print(Text(f"history: {document['history']} trials of other searches"))
    for number, sample in enumerate(document["samples"], start=1):
        refused = f" - refused: {sample['refused']}" if sample["refused"] else ""
        console.print(Text(f"sample {number}: {_params(sample['params'])}{refused}"))


def _size(document: dict[str, Any]) -> str:
    count = f"{'' if document['exact'] else 'at least '}{document['finite_combinations']:,}"
    if document["combinations"] is not None:
        return f"{count} combinations"
    return f"infinite combinations, {count} of the axes without a range"


def _params(params: dict[str, Any]) -> str:
    from gazetune.search.space.conditions import shown_value

    shown = {key: f"{value:.4g}" if isinstance(value, float) else shown_value(value) for key, value in params.items()}
    return ", ".join(f"{key}={value}" for key, value in shown.items()) or "the base config"
