"""`gazetune gaze`: reading measures of a text, how good a predictor is, and one fitted to your own data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazetune.cli import gaze_import, gaze_plot, gaze_stimuli, gaze_store
from gazetune.cli.text_argument import text_of

if TYPE_CHECKING:
    from gazetune.gaze.evaluation import PredictorErrors

_CSV = "CSV with the columns sentence_id, word, nFix, FFD, GPT, TRT, fixProp"


def add_parser(subparsers: Any) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser(
        "gaze", help="reading measures: predict, evaluate, fit, import, stimuli, plot, store", allow_abbrev=False
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_fit(commands)
    for command in (gaze_import, gaze_stimuli, gaze_plot, gaze_store):
        command.add_parser(commands)


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser("predict", help="print the reading measures of a text", allow_abbrev=False)
    parser.add_argument("--text", required=True, help="the text; - reads it from standard input")
    _add_predictor(parser, required=False)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run_predict)


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="compare a predictor with measured reading", allow_abbrev=False)
    _add_predictor(parser, required=True)
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help=_CSV)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run_evaluate)


def _add_fit(commands: Any) -> None:
    parser = commands.add_parser("fit", help="fit a predictor to measured reading", allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help=f"what to fit to: {_CSV}")
    parser.add_argument("--valid", type=Path, required=True, metavar="CSV", help="what to evaluate on; never fitted to")
    parser.add_argument("--kind", default="lexical", help="kind of the predictor: lexical (the default) or roberta")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make, for gaze.path")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the fit (default: 0)")
    roberta = parser.add_argument_group("of kind roberta")
    roberta.add_argument(
        "--base",
        metavar="PATH_OR_HUB_ID",
        help="what to begin with: a RoBERTa or an earlier fit (default: FacebookAI/roberta-base/model.safetensors)",
    )
    roberta.add_argument("--epochs", type=int, metavar="N", help="epochs to train, the best one is kept (default: 20)")
    roberta.add_argument("--learning-rate", type=float, metavar="X", help="highest learning rate (default: 5e-5)")
    parser.add_argument("--json", action="store_true", help="print the errors as one JSON document")
    parser.set_defaults(run=run_fit)


def _add_predictor(parser: argparse.ArgumentParser, required: bool) -> None:
    default = "" if required else " (default: lexical)"
    parser.add_argument(
        "--predictor",
        default="lexical",
        required=required,
        metavar="NAME",
        help=f"gaze predictor, as gaze.predictor{default}",
    )
    parser.add_argument("--path", metavar="FILE", help="the predictor's file, as gaze.path")


def run_predict(args: argparse.Namespace) -> int:
    """Print every word of a text with its span and measures."""
    from gazetune.cli.output import stdout_for_results
    from gazetune.config import MEASURES

    text = text_of(args.text)
    with stdout_for_results():
        from gazetune.gaze.measures import predict_words
        from gazetune.gaze.predictors.registry import create_named_predictor

        predictor = create_named_predictor(args.predictor, args.path)
        words = predict_words(predictor, text)
    if args.json:
        print(json.dumps({"predictor": predictor.fingerprint, "words": words}, indent=2))
    else:
        rows = [[word["word"], word["start"], word["end"], *(word[name] for name in MEASURES)] for word in words]
        _print_table(["word", "start", "end", *MEASURES], rows, decimals=2)
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Print the errors of a predictor on measured reading."""
    from gazetune.cli.output import stdout_for_results

    with stdout_for_results():
        from gazetune.gaze.evaluation import evaluate_predictor
        from gazetune.gaze.measured_sentences import read_measured_sentences
        from gazetune.gaze.predictors.registry import create_named_predictor

        errors = evaluate_predictor(
            create_named_predictor(args.predictor, args.path), read_measured_sentences(args.data)
        )
    _print_errors(errors, args.json)
    return 0


def run_fit(args: argparse.Namespace) -> int:
    """Fit a predictor, write its folder and print its errors."""
    from gazetune.cli.output import stdout_for_results

    with stdout_for_results():
        from gazetune.gaze.fitting.fit import fit_predictor
        from gazetune.gaze.fitting.roberta import RobertaRecipe

        given = {"base": args.base, "epochs": args.epochs, "learning_rate": args.learning_rate}
        given = {name: value for name, value in given.items() if value is not None}
        recipe = RobertaRecipe(**given) if given else None
        errors = fit_predictor(args.kind, args.data, args.valid, args.out, args.seed, recipe)
    _print_errors(errors, args.json)
    return 0


def _print_errors(errors: PredictorErrors, as_json: bool) -> None:
    if as_json:
        print(json.dumps(errors, indent=2))
        return
    rows = [[name, each["mae"], each["spearman"]] for name, each in errors["measures"].items()]
    _print_table(["measure", "MAE", "Spearman"], [*rows, ["mean", errors["mean_mae"], None]], decimals=3)
    print(f"{errors['words']} words")


def _print_table(header: list[str], rows: list[list[Any]], decimals: int) -> None:
    """Print a table whose first column is text and whose others are numbers; None leaves a cell empty."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(header):
        table.add_column(name, justify="right" if place else "left", overflow="fold", no_wrap=place > 0)
    for first, *numbers in rows:
        shown = [f"{each:.{decimals}f}" if isinstance(each, float) else str(each) for each in numbers]
        cells = ["" if each is None else text for each, text in zip(numbers, shown, strict=True)]
        table.add_row(Text(first), *cells)
    Console().print(table)
