"""`gazetune gaze`: reading measures of a text, how good a predictor is, and one fitted to your own data."""

from __future__ import annotations

from gazetune.cli.gaze import evaluate, fit, import_recordings, plot, predict, probe, stimuli, store
from gazetune.cli.program.options import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser(
        "gaze", help="reading measures: predict, evaluate, probe, fit, import, stimuli, plot, store", allow_abbrev=False
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (predict, evaluate, probe, fit, import_recordings, stimuli, plot, store):
        command.add_parser(commands)
