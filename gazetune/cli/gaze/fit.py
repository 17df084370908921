"""`gazetune gaze fit`: a predictor that is fitted to measured reading."""

from __future__ import annotations

import argparse

from gazetune.cli.gaze.predictor import CSV_HELP, print_predictor_errors
from gazetune.cli.program.options import Subparsers, add_json_option, path_argument
from gazetune.cli.program.outcome import Outcome


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand below `gazetune gaze`."""
    parser = subparsers.add_parser("fit", help="fit a predictor to measured reading", allow_abbrev=False)
    parser.add_argument("--data", type=path_argument, required=True, metavar="CSV", help=f"what to fit to: {CSV_HELP}")
    parser.add_argument(
        "--valid", type=path_argument, required=True, metavar="CSV", help="what to evaluate on; never fitted to"
    )
    parser.add_argument("--kind", default="lexical", help="kind of the predictor: lexical (the default) or roberta")
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR", help="folder to make, for gaze.path")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the fit (default: 0)")
    roberta = parser.add_argument_group("of kind roberta")
    roberta.add_argument(
        "--base",
        metavar="PATH_OR_HUB_ID",
        help="what to begin with: a RoBERTa or an earlier fit (default: FacebookAI/roberta-base/model.safetensors)",
    )
    roberta.add_argument("--epochs", type=int, metavar="N", help="epochs to train, the best one is kept (default: 20)")
    roberta.add_argument("--learning-rate", type=float, metavar="X", help="highest learning rate (default: 5e-5)")
    add_json_option(parser, "print the errors as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Fit a predictor, write its folder and return its errors."""
    from gazetune.gaze.fitting.fit import fit_predictor
    from gazetune.gaze.fitting.roberta import RobertaRecipe

    given = {"base": args.base, "epochs": args.epochs, "learning_rate": args.learning_rate}
    given = {name: value for name, value in given.items() if value is not None}
    recipe = RobertaRecipe(**given) if given else None
    errors = fit_predictor(args.kind, args.data, args.valid, args.out, args.seed, recipe)
    return Outcome(errors, lambda: print_predictor_errors(errors))
