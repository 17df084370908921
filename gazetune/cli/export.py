"""`gazetune export`: a saved model without gaze as a plain model that transformers loads."""

from __future__ import annotations

import argparse

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option, path_argument
from gazetune.cli.program.outcome import Outcome


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write a model without gaze as a sequence-classification model of transformers",
        allow_abbrev=False,
    )
    parser.add_argument(
        "model",
        metavar="RUN",
        help="a saved model: its folder, the name of a run or a finished search, NAME:RANK, or an MLflow run id",
    )
    parser.add_argument(
        "--out", required=True, type=path_argument, metavar="DIR", help="the folder to write; new or empty"
    )
    add_storage_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Export a model and return where it was and where it is."""
    from gazetune.models.resolve import resolve_saved_model
    from gazetune.report.model_card import render_classifier_card
    from gazetune.reward.saved.export import export_classifier
    from gazetune.reward.saved.saved_model import read_model_card

    folder = resolve_saved_model(args.model, args.storage)
    export_classifier(folder, args.out, render_classifier_card(read_model_card(folder)))
    return Outcome({"model": str(folder), "out": str(args.out)}, lambda: print(f"{folder} exported to {args.out}"))
