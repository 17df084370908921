"""`gazetune gaze predict`: the reading measures of a text."""

from __future__ import annotations

import argparse

from gazetune.cli.gaze.number_table import print_number_table
from gazetune.cli.gaze.predictor import add_predictor_options
from gazetune.cli.gaze.text_argument import read_text_argument
from gazetune.cli.program.options import Subparsers, add_json_option
from gazetune.cli.program.outcome import Outcome


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand below `gazetune gaze`."""
    parser = subparsers.add_parser("predict", help="print the reading measures of a text", allow_abbrev=False)
    parser.add_argument("--text", required=True, help="the text; - reads it from standard input")
    add_predictor_options(parser, required=False)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Return every word of a text with its span and measures."""
    text = read_text_argument(args.text)
    from gazetune.config import MEASURES
    from gazetune.gaze.measures import predict_words
    from gazetune.gaze.predictors.registry import create_named_predictor

    predictor = create_named_predictor(args.predictor, args.path)
    words = predict_words(predictor, text)

    def print_words() -> None:
        rows = [[word["word"], word["start"], word["end"], *(word[name] for name in MEASURES)] for word in words]
        print_number_table(["word", "start", "end", *MEASURES], rows, decimals=2)

    return Outcome({"predictor": predictor.fingerprint, "words": words}, print_words)
