"""`gazetune gaze stimuli`: preference pairs to screen pages, word boxes and orders for an eye tracking experiment."""

from __future__ import annotations

import argparse

from gazetune.cli.gaze.import_recordings import parse_screen_size
from gazetune.cli.program.options import Subparsers, add_json_option, path_argument, path_or_name_argument
from gazetune.cli.program.outcome import Outcome


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand below `gazetune gaze`."""
    parser = subparsers.add_parser("stimuli", help="render pairs to screen pages for an experiment", allow_abbrev=False)
    parser.add_argument(
        "--data", type=path_or_name_argument, required=True, metavar="PAIRS", help="the pairs to show, as data.source"
    )
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--screen",
        type=parse_screen_size,
        default=(1280, 1024),
        metavar="WxH",
        help="size of the screen in pixels (default: 1280x1024)",
    )
    parser.add_argument("--font", type=path_argument, metavar="FILE", help="font file (default: DejaVu Sans Mono)")
    parser.add_argument("--font-size", type=int, default=24, metavar="PIXELS", help="size of the font (default: 24)")
    parser.add_argument("--readers", type=int, default=1, metavar="N", help="orders to draw (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the orders (default: 0)")
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Render the last prompt and both replies of each pair, and return how much."""
    from gazetune.eyetracking.stimuli import StimuliSettings, name_trials, render_stimuli
    from gazetune.preferences.read_pairs import read_pairs

    settings = StimuliSettings(args.screen, args.font, args.font_size, args.readers, args.seed)
    trials = [
        name_trials(number, pair.prompt[-1].content, pair.chosen, pair.rejected)
        for number, pair in enumerate(read_pairs(args.data), start=1)
    ]
    report = render_stimuli(trials, args.out, settings)
    line = (
        f"{report.out}: {report.pairs} pairs, {report.texts} texts, {report.pages} pages, "
        f"orders for {report.readers} readers"
    )
    return Outcome(report.to_json(), lambda: print(line))
