"""`gazetune gaze import`: recordings of an eye tracker to the Parquet file that gaze.predictor `recorded` reads."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from gazetune.cli.program.options import Subparsers, add_json_option, path_argument, path_or_name_argument
from gazetune.cli.program.outcome import Outcome
from gazetune.errors import InputError

if TYPE_CHECKING:
    from gazetune.eyetracking.ifllm.import_ifllm import IfllmReport
    from gazetune.eyetracking.import_recordings import ImportReport
    from gazetune.eyetracking.import_settings import ImportSettings


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand below `gazetune gaze`."""
    parser = subparsers.add_parser(
        "import", help="make recorded measures from an eye tracker's files", allow_abbrev=False
    )
    parser.add_argument(
        "source",
        type=path_argument,
        metavar="SOURCE",
        help="folder of recordings (OASST-ETC, Gazepoint, EyeLink .asc), an .asc file, or a data set "
        "of pymovements (its definition.yaml, or its folder and --dataset)",
    )
    parser.add_argument(
        "--data",
        type=path_or_name_argument,
        metavar="PAIRS",
        help="the pairs that were read, as data.source; needed without --format",
    )
    parser.add_argument(
        "--out",
        type=path_argument,
        required=True,
        metavar="FILE",
        help="Parquet file to write, for gaze.path; with --format a folder",
    )
    parser.add_argument(
        "--screen",
        type=parse_screen_size,
        metavar="WxH",
        help="size of the screen in pixels (default: the recording's, else 1280x1024)",
    )
    parser.add_argument(
        "--words", type=path_argument, metavar="DIR", help="folder of the word boxes (default: SOURCE/words)"
    )
    parser.add_argument(
        "--assign",
        choices=("recorded", "nearest", "corrected", "cross"),
        default="recorded",
        help="word of a fixation: as the files have it (the default; else corrected), the nearest box "
        "on the nearest line, that after a vertical offset is taken out, or that after what the fixation on a "
        "cross before the trial lay off is",
    )
    parser.add_argument(
        "--cross",
        default="FIX_CROS",
        metavar="NAME",
        help="name of the screen with a cross in its middle before a trial (default: FIX_CROS, or FIX_CROSS)",
    )
    parser.add_argument(
        "--reader-from",
        choices=("folder", "file"),
        default="folder",
        help="what names the reader of a file in a folder below SOURCE: that folder (the default), or each file itself",
    )
    parser.add_argument(
        "--repeats",
        choices=("refuse", "first", "apart", "joined"),
        default="refuse",
        help="a text that one reader read again: refuse (the default), keep the first reading, take each as a reader "
        "of its own, or take them as one reading, files in the order of their names",
    )
    parser.add_argument(
        "--max-distance",
        type=float,
        default=100.0,
        metavar="PIXELS",
        help="farthest from a word's box that a fixation counts for it (default: 100)",
    )
    parser.add_argument(
        "--min-fixations",
        type=int,
        default=5,
        metavar="N",
        help="drop a recording with fewer on the screen (default: 5)",
    )
    parser.add_argument(
        "--min-assigned",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="drop a recording with a smaller share of them on words (default: 0.5)",
    )
    parser.add_argument(
        "--units",
        choices=("cmcl", "ms"),
        default="cmcl",
        help="cmcl: those of all predictors (1 = 48.5 ms, 100 = 7.25 fixations; the default); "
        "ms: milliseconds and fixations",
    )
    parser.add_argument(
        "--first-pass-only", action="store_true", help="FFD and GPT are 0 for a word first fixated after a later word"
    )
    parser.add_argument(
        "--skip-unmatched",
        action="store_true",
        help="drop what belongs to no text of the pairs or no screen, instead of refusing",
    )
    _add_pymovements_flags(parser)
    _add_ifllm_flags(parser)
    add_json_option(parser, "print the report as one JSON document")
    defaults = {action.dest: action.default for action in parser._actions}
    parser.set_defaults(run=run, defaults=defaults)


def _add_pymovements_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("EyeLink and data sets, read by pymovements (extra: eyetracking)")
    group.add_argument(
        "--trial-message",
        default=r"TRIALID (?P<trial>\S+)",
        metavar="REGEX",
        help="EyeLink message that begins a trial and names its screen (default: 'TRIALID (?P<trial>\\S+)')",
    )
    group.add_argument("--dataset", metavar="NAME", help="SOURCE is a folder of this data set of pymovements")
    group.add_argument(
        "--content",
        choices=("measures", "fixations", "gaze"),
        help="what of a data set to read (default: the first of these that is there)",
    )
    group.add_argument(
        "--columns",
        type=parse_columns,
        default={},
        metavar="KEY=NAME,...",
        help="columns of a data set: reader, trial (A+B joins two), x, y, start, duration, word, nFix, FFD, GPT, TRT",
    )
    group.add_argument(
        "--detect",
        choices=("ivt", "idt"),
        help="find fixations in the samples, by velocity or by dispersion (default: take those recorded)",
    )
    group.add_argument(
        "--threshold",
        type=float,
        metavar="DEGREES",
        help="of --detect: degrees a second for ivt, degrees for idt (default: 20 and 1)",
    )
    group.add_argument("--min-duration", type=int, metavar="MS", help="shortest fixation of --detect (default: 100)")
    group.add_argument(
        "--viewing",
        type=parse_viewing,
        metavar="WxH@D",
        help="size of the screen and distance of the eyes in cm, for --detect",
    )


def _add_ifllm_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("studies that have pairs and gaze (of the flags above --out and --units count)")
    group.add_argument(
        "--format",
        choices=("ifllm",),
        help="SOURCE is the folder of query_logs_table.csv and user_behavior: write pairs.jsonl, gaze.parquet and "
        "report.json to the folder --out",
    )
    group.add_argument(
        "--min-samples",
        type=int,
        metavar="N",
        help="drop a pair with fewer samples on both replies together (default: 1)",
    )
    group.add_argument(
        "--min-seen",
        type=float,
        metavar="SHARE",
        help="drop a pair of which less of a reply was looked at (default: 0)",
    )
    group.add_argument(
        "--min-pairs", type=int, metavar="N", help="drop a reader with fewer pairs that keep these limits (default: 1)"
    )


_GATES = ("min_samples", "min_seen", "min_pairs")
_NOT_OF_STUDIES = (
    *("data", "screen", "words", "assign", "cross", "reader_from", "repeats", "max_distance", "min_fixations"),
    *("min_assigned", "first_pass_only", "skip_unmatched", "trial_message", "dataset", "content", "columns", "detect"),
    *("threshold", "min_duration", "viewing"),
)
"""Flags that say nothing about a study's own format."""


def _import_study(args: argparse.Namespace) -> Outcome:
    from gazetune.eyetracking.ifllm.import_ifllm import QualityGates, import_ifllm

    for name in _NOT_OF_STUDIES:
        if getattr(args, name) != args.defaults[name]:
            raise InputError(f"--{name.replace('_', '-')}: not with --format {args.format}, which has pairs and words")
    gates = {name: getattr(args, name) for name in _GATES if getattr(args, name) is not None}
    report = import_ifllm(args.source, args.out, QualityGates(**gates), args.units)
    return Outcome(report.to_json(), lambda: _print_study(report))


def _print_study(report: IfllmReport) -> None:
    print(
        f"{report.out}: {report.pairs} pairs of {report.readers} readers, {report.samples} samples; both replies with "
        f"gaze in {100 * report.both_seen:.1f} % of the pairs, {100 * report.seen:.0f} % of a reply seen in "
        f"{report.seconds:.0f} s on average"
    )
    for reason, count in report.dropped.items():
        print(f"dropped {count} of {report.questions} questions: {reason}")
    for reason, count in report.samples_left_out.items():
        print(f"left out {count} samples: {reason}")
    for gate, count in report.stricter.items():
        print(f"{count} pairs have {gate}")
    for note in report.notes:
        print(f"note: {note}")


def run(args: argparse.Namespace) -> Outcome:
    """Import, and return what was imported, and what was dropped and why."""
    if args.format is not None:
        return _import_study(args)
    given = next((name for name in _GATES if getattr(args, name) is not None), None)
    if given is not None:
        raise InputError(f"--{given.replace('_', '-')}: is for --format ifllm")
    if args.data is None:
        raise InputError("--data: is missing; accepted: the pairs that were read, as data.source (or --format ifllm)")
    from gazetune.eyetracking.import_recordings import import_recordings
    from gazetune.preferences.read_pairs import list_messages, read_pairs

    settings = _read_settings(args)
    report = import_recordings(args.source, list_messages(read_pairs(args.data)), args.out, settings)
    return Outcome(report.to_json(), lambda: _print_report(report))


def _print_report(report: ImportReport) -> None:
    print(
        f"{report.out}: {report.rows} rows, {report.texts} texts, {report.readers} readers, "
        f"{report.recordings} recordings, {report.fixations} fixations"
    )
    joined = f" ({report.recordings_joined} joined with the first reading)" if report.recordings_joined else ""
    print(f"read {report.recordings_read} recordings{joined} with {report.fixations_read} fixations")
    for each in report.dropped:
        along = f" (with {each.fixations} fixations)" if each.fixations else ""
        print(f"dropped {each.count} {each.what}: {each.source}: {each.reason}{along}")
    if report.cross:
        print("cross: " + ", ".join(f"{name.replace('_', ' ')} in {count}" for name, count in report.cross.items()))
    for note in report.notes:
        print(f"note: {note}")


def _read_settings(args: argparse.Namespace) -> ImportSettings:
    from gazetune.eyetracking.assign_words import TrialLimits
    from gazetune.eyetracking.import_settings import ImportSettings
    from gazetune.eyetracking.pymovements.settings import PymovementsSettings

    own = (
        *("screen", "words", "assign", "cross", "max_distance", "units", "first_pass_only", "skip_unmatched"),
        *("reader_from", "repeats"),
    )
    loaded = ("trial_message", "dataset", "content", "columns", "detect", "threshold", "min_duration", "viewing")
    return ImportSettings(
        **{name: getattr(args, name) for name in own},
        limits=TrialLimits(args.min_fixations, args.min_assigned),
        pymovements=PymovementsSettings(**{name: getattr(args, name) for name in loaded}),
    )


def parse_screen_size(text: str) -> tuple[int, int]:
    """Return the width and height that `WIDTHxHEIGHT` names, as a type of an argument."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size of a screen; accepted: WIDTHxHEIGHT, as 1920x1080")
    return int(found[1]), int(found[2])


def parse_viewing(text: str) -> tuple[float, float, float]:
    """Return width and height of the screen and the distance of the eyes in cm that `WxH@D` names."""
    found = re.fullmatch(r"(\d+\.?\d*)x(\d+\.?\d*)@(\d+\.?\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no geometry; accepted: WIDTHxHEIGHT@DISTANCE in cm, as 53x30@65")
    return float(found[1]), float(found[2]), float(found[3])


def parse_columns(text: str) -> dict[str, str]:
    """Return the names by key of `KEY=NAME,KEY=NAME`, as a type of an argument."""
    parts = [each.partition("=") for each in text.split(",")]
    if not all(key and name for key, _, name in parts):
        raise argparse.ArgumentTypeError(f"'{text}'; accepted: KEY=NAME,KEY=NAME")
    return {key.strip(): name.strip() for key, _, name in parts}
