"""`gazetune evaluate`: the best trials of a finished search on its test pairs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option
from gazetune.cli.program.outcome import Outcome

if TYPE_CHECKING:
    from gazetune.models.evaluate_trials import EvaluatedTrial

_WARNING = (
    "The search compared its winner alone on these pairs. Whoever chooses among the others by what they score here has "
    "no test pairs left; they are marked as looked at."
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate", help="score more trials of a search on its test pairs", allow_abbrev=False
    )
    parser.add_argument("name", metavar="NAME", help="name of a finished search")
    parser.add_argument("--top", type=int, default=5, metavar="K", help="the trials of the ranks 1 to K (default: 5)")
    add_storage_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Score the trials that are not scored yet."""
    from dataclasses import asdict

    from gazetune.errors import InputError

    if args.top < 1:
        raise InputError(f"--top: {args.top} is not accepted; accepted: 1 or more")
    from gazetune.models.evaluate_trials import evaluate_best_trials
    from gazetune.report.activity import ActivityLines

    with ActivityLines() as lines:
        lines.begin("scoring trials on the test pairs")
        found = evaluate_best_trials(args.name, args.storage, args.top, lines.print_line)
    document = {"name": args.name, "trials": [asdict(trial) for trial in found], "note": _WARNING}
    return Outcome(document, lambda: _print_trials(found))


def _print_trials(found: list[EvaluatedTrial]) -> None:
    from rich.console import Console
    from rich.text import Text

    from gazetune.report.table import make_text_table
    from gazetune.report.wording import format_interval, format_percent, format_points

    head = ["rank", "trial", "validation %", "test % (95 % interval)", "winner minus trial, points"]
    head += ["Holm's p", "looked at"]
    rows = []
    for trial in found:
        difference, ends = trial.difference, trial.difference_ci95
        points = "-" if difference is None or ends is None else format_points(difference, ends)
        p = "-" if trial.p_adjusted is None else f"{trial.p_adjusted:.3g}"
        accuracy = f"{format_percent(trial.accuracy)} ({format_interval(trial.ci95)})"
        seen = "yes" if trial.looked_at else "by the search"
        rows.append([str(trial.rank), trial.id, format_percent(trial.val_accuracy), accuracy, points, p, seen])
    console = Console(soft_wrap=True)
    console.print(make_text_table(f"{found[0].n} test pairs", [head, *rows]))
    console.print(Text(_WARNING))
