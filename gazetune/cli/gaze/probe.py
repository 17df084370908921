"""`gazetune gaze probe`: does gaze carry anything about the preference beyond length? No backbone, no training."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gazetune.cli.gaze.predictor import add_predictor_options
from gazetune.cli.program.options import Subparsers, add_json_option, add_set_option, path_or_name_argument
from gazetune.cli.program.outcome import Outcome
from gazetune.errors import InputError

if TYPE_CHECKING:
    from gazetune.evaluate.probe.run import ProbeResult
    from gazetune.evaluate.probe.sample import KnownPairs

_UNHEEDED = ("data.tokens", "data.max_tokens", "data.max_chars_of", "data.chat_template")
"""Keys of `data` that are about a backbone's tokens."""
_HEEDED = ("gaze.predictor", "gaze.path", "gaze.reader", "gaze.features", "gaze.predictor_units")
MOST_PAIRS = 2000
"""Enough to see a gain of 3 points, and read in seconds."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand below `gazetune gaze`."""
    parser = subparsers.add_parser(
        "probe", help="ask whether gaze says more about the preference than length does", allow_abbrev=False
    )
    parser.add_argument(
        "--data", type=path_or_name_argument, required=True, metavar="PAIRS", help="preference pairs, as data.source"
    )
    add_predictor_options(parser, required=False)
    parser.add_argument(
        "--group", metavar="COLUMN", help="column whose values are never divided, as data.group (default: prompts)"
    )
    parser.add_argument(
        "--pairs", type=int, default=MOST_PAIRS, metavar="N", help=f"ask of N drawn pairs (default: {MOST_PAIRS})"
    )
    add_set_option(parser, "set another config key, as data.seed or gaze.features; may be repeated")
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Return what the measures say of the preference, on the pairs of train and validation."""
    from gazetune.config.config_file import apply_overrides, build_config, parse_overrides
    from gazetune.evaluate.probe.features import describe_pairs, keep_measures
    from gazetune.evaluate.probe.run import FEWEST_PAIRS, run_probe
    from gazetune.evaluate.probe.sample import draw_known_pairs
    from gazetune.gaze.predictors.registry import check_predictor_file, create_predictor, find_predictor
    from gazetune.report.probe_wording import state_probe_verdict

    if args.pairs < FEWEST_PAIRS:
        raise InputError(f"--pairs {args.pairs}: accepted: {FEWEST_PAIRS} or more")
    tree = {
        "data": {"source": args.data, "group": args.group},
        "gaze": {"predictor": args.predictor, "path": args.path},
    }
    given = parse_overrides(args.overrides)
    for key in given:
        if key not in _HEEDED and (key in _UNHEEDED or not key.startswith("data.")):
            raise InputError(
                f"--set {key}: the probe does not look at it; accepted: {', '.join(_HEEDED)} and keys of data, without "
                f"{', '.join(_UNHEEDED)}"
            )
    config = build_config(apply_overrides(tree, args.overrides), "command line")
    if "gaze.features" not in given:
        features = find_predictor(config).measures
        config = config.model_copy(update={"gaze": config.gaze.model_copy(update={"features": features})})
    check_predictor_file(config)
    known = draw_known_pairs(config.data, args.pairs)
    items = keep_measures(describe_pairs(known.pairs, known.groups, create_predictor(config)), config.gaze.features)
    result = run_probe(items, seed=config.data.seed)
    verdict = state_probe_verdict(result)
    document = {
        "data": config.data.source,
        "predictor": config.gaze.predictor,
        "grouped_by": config.data.group or "prompt",
        "known_pairs": known.total,
        "dropped": known.dropped,
        "notes": known.notes,
        **result.to_json(),
        "verdict": verdict,
    }
    return Outcome(document, lambda: _print_probe(result, known, config.data.group or "prompt", verdict))


def _print_probe(result: ProbeResult, known: KnownPairs, grouped_by: str, verdict: str) -> None:
    from gazetune.cli.gaze.number_table import print_number_table
    from gazetune.report.probe_wording import probe_rows

    of_all = "" if result.pairs == known.total else f" of {known.total}"
    print(
        f"{result.pairs}{of_all} pairs of train and validation in {result.groups} groups by {grouped_by}, "
        f"{result.folds} folds; test is not looked at"
    )
    for what, counts in (("dropped", known.dropped), ("note", known.notes)):
        for reason, count in counts.items():
            print(f"{what}: {reason} ({count})")
    head, *rows = probe_rows(result)
    print_number_table(head, rows, decimals=1)
    print(verdict)
