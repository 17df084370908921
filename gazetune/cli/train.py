"""`gazetune train`: train and evaluate one reward model, from a config file or with the flags of the reference."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazetune.cli.reference_flags import (
    FLAGS,
    IGNORED,
    given_flags,
    reference_notes,
    reference_params,
)
from gazetune.errors import InputError

if TYPE_CHECKING:
    from gazetune.config import Config

logger = logging.getLogger(__name__)

RESULTS = Path("gazetune_runs")
"""The folder of all results, when --storage does not name one."""

EVALUATED = "data."
"""The keys that `--mode evaluate` takes from the command line: a saved model's others are those it was trained with."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train one reward model; takes the flags of the GazeReward reference",
        allow_abbrev=False,
        epilog="The value of a key is that of --set, else of a flag, else of CONFIG, else the default: that of the "
        "reference when one of its flags was given and no CONFIG, that of the preset otherwise.",
    )
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="a YAML config")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="set a config key, such as optim.learning_rate=1e-4; may be repeated",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="corrected (default), or reference: its recipe with its defects"
    )
    parser.add_argument("--name", help="name of the run and its folder")
    parser.add_argument("--storage", type=Path, metavar="DIR", help="folder of all results (default: ./gazetune_runs)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of this run, instead of --storage and --name")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow server (default: a sqlite file in the storage)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    reference = parser.add_argument_group("flags of the reference")
    for flag in FLAGS:
        default = f" (reference: {flag.default or 'empty'})"
        reference.add_argument(*flag.names, dest=flag.dest, type=flag.parse, metavar="VALUE", help=flag.help + default)
    for name in IGNORED:
        reference.add_argument(name, nargs="?", const="", metavar="VALUE", help="accepted, does nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, or evaluate a saved folder, and print the result."""
    from gazetune.cli.output import stdout_for_results

    folder = saved_folder(args)
    config = config_of(args, folder)
    with stdout_for_results():
        from gazetune.gaze.predictors.registry import check_predictor_file

        check_predictor_file(config)
        from gazetune.train.run import evaluate_saved_model, train_model

        if folder is None:
            document = train_model(config, *place_of(args))
        else:
            document = evaluate_saved_model(folder, args.storage or RESULTS, config)
    if args.json:
        print(json.dumps(document, indent=2))
    else:
        _print_table(document)
    return 0


def saved_folder(args: argparse.Namespace) -> Path | None:
    """Return the folder that `--mode evaluate` evaluates, or None when the command trains.

    Raises
    ------
    InputError
        When neither --out nor -m names a saved reward model.
    """
    if args.mode != "evaluate":
        return None
    folder = args.out or (Path(args.model_name) if args.model_name else None)
    if folder is None:
        raise InputError("--mode evaluate needs the folder of a saved reward model, with -m or --out")
    if not (folder / "config.yaml").is_file():
        raise InputError(f"--mode evaluate: {folder} is no saved reward model (it has no config.yaml)")
    return folder


def config_of(args: argparse.Namespace, folder: Path | None = None) -> Config:
    """Return the config of a command line: --set before flags before the file before the defaults.

    With `folder`, the file is the saved model's own config, and of the flags only those about data count.

    Raises
    ------
    InputError
        For whatever is wrong with the file, a flag's value or an override.
    """
    from gazetune.config.yaml_file import build_config, parse_overrides, read_yaml_lines, set_key

    arguments = vars(args)
    file = args.config or (folder / "config.yaml" if folder is not None else None)
    tree, lines = read_yaml_lines(file) if file is not None else ({}, {})
    overrides = parse_overrides(args.overrides)
    in_file = tree.get("gaze")
    path = overrides.get("gaze.path", in_file.get("path") if isinstance(in_file, dict) else None)
    params = reference_params(arguments, defaults=file is None, has_weights=path is not None)
    if folder is not None:
        params = {key: value for key, value in params.items() if key.startswith(EVALUATED)}
        _refuse_other_than_data(overrides)
    for note in reference_notes(arguments, params):
        logger.warning(note)
    sources = dict.fromkeys(overrides, "--set")
    if args.tracking_uri is not None:
        overrides["tracking.uri"], sources["tracking.uri"] = args.tracking_uri, "--tracking-uri"
    if args.preset is not None and folder is None:
        overrides["preset"], sources["preset"] = args.preset, "--preset"
    for key, value in {**params, **overrides}.items():
        set_key(tree, key, value)
    given = given_flags(arguments)
    named = {key: given[flag.dest] for flag in FLAGS if flag.dest in given for key in flag.keys}
    return build_config(tree, str(file or "command line"), {**lines, **named, **sources})


def _refuse_other_than_data(overrides: Mapping[str, Any]) -> None:
    other = next((key for key in overrides if not key.startswith(EVALUATED)), None)
    if other is not None:
        raise InputError(f"--set {other}: --mode evaluate keeps the saved model's config; accepted: data.* keys")


def place_of(args: argparse.Namespace) -> tuple[str | None, Path]:
    """Return the name of the run (None: to be made up) and the folder of all results.

    Raises
    ------
    InputError
        When --out stands beside --name or --storage, which say the same.
    """
    if args.out is None:
        return args.name, args.storage or RESULTS
    if args.name is not None or args.storage is not None:
        raise InputError(f"--out {args.out}: cannot stand beside --name or --storage; --out is STORAGE/NAME in one")
    out = args.out.absolute()
    return out.name, out.parent


def _print_table(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    rows = list(document.items())
    while rows:
        name, value = rows.pop(0)
        if isinstance(value, dict):
            rows[:0] = [(f"{name}.{inner}", item) for inner, item in value.items()]
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            table.add_row(Text(name), Text(shown, overflow="fold"))
    Console().print(table)
