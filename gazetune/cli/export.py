"""`gazetune export`: a saved model in one folder that needs nothing beside it, or as a plain model of transformers."""

from __future__ import annotations

import argparse
from pathlib import Path

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option, path_argument
from gazetune.cli.program.outcome import Outcome

FORMATS = ("transformers", "gazetune")


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write a saved model as one folder that needs nothing beside it, or for transformers",
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
    parser.add_argument("--trial", metavar="ID", help="the trial of the search RUN with this id, such as 0003")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="transformers: a sequence-classification model, of models without gaze (their default); gazetune: a saved "
        "model with its backbone and gaze predictor (default for models with gaze)",
    )
    add_storage_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Export a model and return where it was and where it is."""
    from gazetune.models.measured import describe_measured
    from gazetune.models.resolve import resolve_saved_model
    from gazetune.report.model_card import add_measured, render_classifier_card
    from gazetune.reward.saved.saved_model import read_model_card, read_saved_config

    name = args.model if args.trial is None else f"{args.model}:{args.trial}"
    folder = resolve_saved_model(name, args.storage)
    has_gaze = read_saved_config(folder).fusion.kind != "none"
    kind = args.format or FORMATS[has_gaze]
    card = add_measured(read_model_card(folder), describe_measured(folder))
    outside: list[str] = []
    if kind == "transformers":
        from gazetune.reward.saved.export import export_classifier

        if has_gaze:
            _refuse_gaze(name, folder)
        export_classifier(folder, args.out, render_classifier_card(card))
    else:
        from gazetune.reward.saved.portable import export_portable

        outside = export_portable(folder, args.out, lambda its: add_measured(card, [], its))
    document = {"model": str(folder), "out": str(args.out), "format": kind, "not_in_the_folder": outside}

    def print_for_people() -> None:
        print(f"{folder} exported to {args.out}, for {kind}")
        for each in outside:
            print(f"not in the folder: {each}")

    return Outcome(document, print_for_people)


def _refuse_gaze(name: str, folder: Path) -> None:
    """Refuse a model with gaze, and name the trials of its search that transformers can load."""
    from gazetune.errors import InputError
    from gazetune.models.measured import find_search, list_exportable_trials

    search = find_search(folder)
    trials = [] if search is None else list_exportable_trials(search)
    kept = f", or --trial {', '.join(trials)}, which have none" if trials else ""
    raise InputError(
        f"--format transformers: {name} sees gaze, and a plain sequence-classification model does not; accepted: "
        f"--format gazetune{kept}"
    )
