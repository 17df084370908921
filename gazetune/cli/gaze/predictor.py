"""The predictor that commands of `gazetune gaze` take, and the errors of one for people."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gazetune.cli.gaze.number_table import print_number_table
from gazetune.cli.program.options import path_or_name_argument

if TYPE_CHECKING:
    from gazetune.gaze.evaluation import PredictorErrors

CSV_HELP = "CSV with the columns sentence_id, word, nFix, FFD, GPT, TRT, fixProp"
"""What a file of measured reading is."""


def add_predictor_options(parser: argparse.ArgumentParser, required: bool) -> None:
    """Add `--predictor` and `--path`."""
    default = "" if required else " (default: lexical)"
    parser.add_argument(
        "--predictor",
        default="lexical",
        required=required,
        metavar="NAME",
        help=f"gaze predictor, as gaze.predictor{default}",
    )
    parser.add_argument("--path", type=path_or_name_argument, metavar="FILE", help="the predictor's file, as gaze.path")


def print_predictor_errors(errors: PredictorErrors) -> None:
    """Print a table of the errors by reading measure, and how many words they are over."""
    rows = [[name, each["mae"], each["spearman"]] for name, each in errors["measures"].items()]
    print_number_table(["measure", "MAE", "Spearman"], [*rows, ["mean", errors["mean_mae"], None]], decimals=3)
    print(f"{errors['words']} words")
