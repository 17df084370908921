"""`gazetune gaze evaluate`: how far a predictor is from measured reading."""

from __future__ import annotations

import argparse

from gazetune.cli.gaze.predictor import CSV_HELP, add_predictor_options, print_predictor_errors
from gazetune.cli.program.options import Subparsers, add_json_option, path_argument
from gazetune.cli.program.outcome import Outcome


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand below `gazetune gaze`."""
    parser = subparsers.add_parser("evaluate", help="compare a predictor with measured reading", allow_abbrev=False)
    add_predictor_options(parser, required=True)
    parser.add_argument("--data", type=path_argument, required=True, metavar="CSV", help=CSV_HELP)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Return the errors of a predictor on measured reading."""
    from gazetune.gaze.evaluation import evaluate_predictor
    from gazetune.gaze.measured_sentences import read_measured_sentences
    from gazetune.gaze.predictors.registry import create_named_predictor

    predictor = create_named_predictor(args.predictor, args.path)
    errors = evaluate_predictor(predictor, read_measured_sentences(args.data))
    return Outcome(errors, lambda: print_predictor_errors(errors))
