"""`gazetune gaze stimuli`: preference pairs to screen pages, word boxes and orders for an eye tracking experiment."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gazetune.cli.gaze_import import screen_size


def add_parser(subparsers: Any) -> None:
    """Add the subcommand below `gazetune gaze`."""
    parser = subparsers.add_parser("stimuli", help="render pairs to screen pages for an experiment", allow_abbrev=False)
    parser.add_argument("--data", required=True, metavar="PAIRS", help="the pairs to show, as data.source")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--screen",
        type=screen_size,
        default=(1280, 1024),
        metavar="WxH",
        help="size of the screen in pixels (default: 1280x1024)",
    )
    parser.add_argument("--font", type=Path, metavar="FILE", help="font file (default: DejaVu Sans Mono)")
    parser.add_argument("--font-size", type=int, default=24, metavar="PIXELS", help="size of the font (default: 24)")
    parser.add_argument("--readers", type=int, default=1, metavar="N", help="orders to draw (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the orders (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Render, and print how much."""
    from gazetune.cli.output import stdout_for_results

    names = ("data", "out", "screen", "font", "font_size", "readers", "seed")
    with stdout_for_results():
        report = stimuli_command(**{name: getattr(args, name) for name in names})
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print(
            f"{report['out']}: {report['pairs']} pairs, {report['texts']} texts, {report['pages']} pages, "
            f"orders for {report['readers']} readers"
        )
    return 0


def stimuli_command(
    data: str,
    out: Path,
    screen: tuple[int, int] = (1280, 1024),
    font: Path | None = None,
    font_size: int = 24,
    readers: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Render the last prompt and both replies of each pair and return what was written.

    Raises
    ------
    InputError
        If the pairs cannot be read, a text cannot be shown, or `out` holds something; nothing is written then.
    """
    from gazetune.eyetracking.stimuli import StimuliSettings, name_trials, render_stimuli
    from gazetune.preferences.pair import PreferencePair
    from gazetune.preferences.sources import published_splits

    settings = StimuliSettings(screen, font, font_size, readers, seed)
    pairs = [pair for rows in published_splits(data).values() for pair in rows if isinstance(pair, PreferencePair)]
    shown = [
        name_trials(number, pair.prompt[-1].content, pair.chosen, pair.rejected)
        for number, pair in enumerate(pairs, start=1)
    ]
    return render_stimuli(shown, out, settings).to_json()
