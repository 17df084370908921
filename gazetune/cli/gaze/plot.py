"""`gazetune gaze plot`: pictures of reading measures, as PNG or as one HTML file that needs nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path

from gazetune.cli.program.options import Subparsers, path_argument, path_or_name_argument
from gazetune.cli.program.outcome import Outcome
from gazetune.errors import InputError


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand to those of `gazetune gaze`."""
    parser = subparsers.add_parser(
        "plot", help="draw a text as a heat map, a predictor against readers, or a scanpath", allow_abbrev=False
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="draw this text as a heat map; - reads it from standard input")
    what.add_argument(
        "--pair", metavar="FILE:ROW", help="draw the chosen and the rejected reply of a preference pair side by side"
    )
    what.add_argument(
        "--compare",
        type=path_argument,
        metavar="CSV",
        help="draw the predictor against the readers of a CSV in the shared task's columns",
    )
    what.add_argument(
        "--scanpath",
        type=path_argument,
        nargs=2,
        metavar=("FIXATIONS", "BOXES"),
        help="draw fixations (x, y, duration in s) over word boxes (text, x1, y1, x2, y2)",
    )
    parser.add_argument("--out", type=path_argument, required=True, metavar="FILE", help="FILE.png or FILE.html")
    parser.add_argument("--measure", help="nFix, FFD, GPT, TRT or fixProp (default: TRT; with --compare all five)")
    parser.add_argument("--predictor", metavar="NAME", help="the gaze predictor (default: lexical)")
    parser.add_argument(
        "--path",
        type=path_or_name_argument,
        metavar="FILE",
        help="the predictor's weights or recorded measures (gaze.path)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Draw the picture and return the paths of its files."""
    files = _draw_picture(args)

    def print_paths() -> None:
        for file in files:
            print(file)

    return Outcome(None, print_paths)


def _draw_picture(args: argparse.Namespace) -> list[Path]:
    from gazetune.cli.gaze.text_argument import read_text_argument
    from gazetune.config import GazeConfig
    from gazetune.pictures.plot import plot_comparison, plot_scanpath, plot_texts
    from gazetune.preferences.read_pairs import read_pair_at

    if args.scanpath is not None:
        for option, value in (("--measure", args.measure), ("--predictor", args.predictor), ("--path", args.path)):
            if value is not None:
                raise InputError(f"--scanpath: cannot stand beside {option}: fixations are drawn as they are")
        fixations, boxes = args.scanpath
        return plot_scanpath(fixations, boxes, args.out)
    gaze = GazeConfig(predictor=args.predictor or "lexical", path=args.path)
    if args.compare is not None:
        return plot_comparison(gaze, args.compare, args.out, args.measure)
    if args.pair is None:
        return plot_texts(gaze, {"": read_text_argument(args.text)}, args.out, args.measure or "TRT")
    pair = read_pair_at(args.pair)
    texts = {"chosen": pair.chosen, "rejected": pair.rejected}
    return plot_texts(gaze, texts, args.out, args.measure or "TRT", note=pair.prompt[-1].content)
