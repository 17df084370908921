"""`gazetune train`: train and evaluate one reward model, from a config file or with the flags of the reference."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gazetune.cli.program.options import (
    DEFAULT_STORAGE,
    Subparsers,
    add_json_option,
    add_set_option,
    add_storage_option,
    add_tracking_option,
    path_argument,
)
from gazetune.cli.program.outcome import Outcome
from gazetune.devices import hide_gpus
from gazetune.errors import InputError
from gazetune.files.names import check_name, is_folder_name
from gazetune.files.paths import path_exists
from gazetune.train.reference_flags import FLAGS, IGNORED

if TYPE_CHECKING:
    from gazetune.config import Config


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train one reward model; takes the flags of the GazeReward reference",
        allow_abbrev=False,
        epilog="The value of a key is that of --set, else of a flag, else of CONFIG, else the default: that of the "
        "reference when one of its flags was given and no CONFIG, that of the preset otherwise.",
    )
    parser.add_argument("config", nargs="?", type=path_argument, metavar="CONFIG", help="a YAML config")
    add_set_option(parser, "set a config key, such as optim.learning_rate=1e-4; may be repeated")
    parser.add_argument(
        "--preset", metavar="NAME", help="corrected (default), or reference: its recipe with its defects"
    )
    parser.add_argument("--name", help="name of the run and its folder")
    add_storage_option(parser, default=None)
    parser.add_argument(
        "--out", type=path_argument, metavar="DIR", help="folder of this run, instead of --storage and --name"
    )
    add_tracking_option(parser)
    add_json_option(parser, "print the result as one JSON document")
    reference = parser.add_argument_group("flags of the reference")
    for flag in FLAGS:
        default = f" (reference: {flag.default or 'empty'})"
        reference.add_argument(*flag.names, dest=flag.dest, type=flag.parse, metavar="VALUE", help=flag.help + default)
    for name in IGNORED:
        reference.add_argument(name, nargs="?", const="", metavar="VALUE", help="accepted, does nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Train, or evaluate a saved folder, and return the result."""
    folder = find_evaluated_folder(args)
    name, storage = find_run_folder(args) if folder is None else (None, args.storage or DEFAULT_STORAGE)
    config = read_config(args, folder)
    from gazetune.gaze.predictors.registry import check_predictor_file

    check_predictor_file(config)  # before torch is imported, which takes seconds
    if folder is None and not config.resources.gpus_per_worker:
        hide_gpus()
    from gazetune.train.run import train_model
    from gazetune.train.scoring.evaluate_saved_model import evaluate_saved_model

    if folder is None:
        document: Mapping[str, object] = train_model(config, name, storage)
    else:
        document = evaluate_saved_model(folder, storage, config, given_data_keys(args))
    return Outcome(document, lambda: _print_results(document))


def find_evaluated_folder(args: argparse.Namespace) -> Path | None:
    """Return the saved model that `--mode evaluate` evaluates, or None when the command trains.

    Raises
    ------
    InputError
        When neither --out nor -m names a saved reward model.
    """
    if args.mode != "evaluate":
        return None
    named = args.out or args.model_name
    if not named:
        raise InputError("--mode evaluate needs the folder of a saved reward model, with -m or --out")
    from gazetune.models.resolve import resolve_saved_model  # not at the top: the command line must start quickly

    return resolve_saved_model(named, args.storage or DEFAULT_STORAGE)


def read_config(args: argparse.Namespace, folder: Path | None = None) -> Config:
    """Return the config of a command line; with `folder`, that of its saved model with other data.

    Raises
    ------
    InputError
        For whatever is wrong with the file, a flag's value or an override.
    """
    from gazetune.train.config_sources import ConfigSources

    sources = ConfigSources(
        file=args.config or (folder / "config.yaml" if folder is not None else None),
        overrides=args.overrides,
        flags=vars(args),
        preset=args.preset,
        tracking_uri=args.tracking_uri,
    )
    return sources.build_config(data_only=folder is not None)


def given_data_keys(args: argparse.Namespace) -> set[str]:
    """Return the keys of the section `data` that the command line sets, by a flag or with --set.

    Raises
    ------
    InputError
        For an override that is none.
    """
    from gazetune.config.config_file import parse_overrides

    keys = {key for flag in FLAGS if getattr(args, flag.dest) is not None for key in flag.keys}
    return {key for key in (*keys, *parse_overrides(args.overrides)) if key.startswith("data.")}


def find_run_folder(args: argparse.Namespace) -> tuple[str | None, Path]:
    """Return the name of the run (None: to be made up) and the folder of all results.

    Raises
    ------
    InputError
        When --out stands beside --name or --storage, which say the same; for a name that a run cannot have.
    """
    if args.out is None:
        storage = args.storage or DEFAULT_STORAGE
        # A run that is there may have a name that was accepted before.
        is_there = is_folder_name(args.name or "") and path_exists(storage / args.name / "config.yaml")
        if args.name is not None and not is_there:
            check_name(args.name, "--name")
        return args.name, storage
    if args.name is not None or args.storage is not None:
        raise InputError(f"--out {args.out}: cannot stand beside --name or --storage; --out is STORAGE/NAME in one")
    out = Path(os.path.abspath(args.out))  # not resolved: a link is the name of a run, too
    return out.name, out.parent


def _print_results(document: Mapping[str, object]) -> None:
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
