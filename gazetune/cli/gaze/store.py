"""`gazetune gaze store`: predict the reading measures of all texts of a data set, before anything needs them."""

from __future__ import annotations

import argparse

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option, path_or_name_argument
from gazetune.cli.program.outcome import Outcome
from gazetune.errors import InputError
from gazetune.files.paths import resolve_path


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand to those of `gazetune gaze`."""
    parser = subparsers.add_parser(
        "store", help="predict the measures of all texts of a data set ahead, in parallel", allow_abbrev=False
    )
    parser.add_argument(
        "--data", type=path_or_name_argument, required=True, metavar="SOURCE", help="preference pairs, as data.source"
    )
    parser.add_argument(
        "--predictor", default="lexical", metavar="NAME", help="gaze predictor, as gaze.predictor (default: lexical)"
    )
    parser.add_argument("--path", type=path_or_name_argument, metavar="FILE", help="the predictor's file, as gaze.path")
    add_storage_option(parser)
    parser.add_argument("--store", metavar="PLACE", help="folder or URI of the store, as gaze.store")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that predict (default: where it pays, all CPUs; 1: this one)",
    )
    parser.add_argument("--address", metavar="ADDRESS", help="join a running Ray cluster; auto finds it")
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Build the store and return what is in it."""
    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers {args.workers}: accepted: 1 or more")
    from gazetune.cluster.gaze_store import build_store_in_parallel
    from gazetune.config.config_file import build_config, with_absolute_paths

    gaze = {"predictor": args.predictor, "path": args.path, "store": args.store}
    config = with_absolute_paths(build_config({"data": {"source": args.data}, "gaze": gaze}, "command line"))
    store = build_store_in_parallel(config, resolve_path(args.storage, "--storage"), args.workers, args.address)
    facts = {
        "store": config.gaze.store or str(store.folder.parent),
        "folder": str(store.folder),
        "predictor": store.fingerprint,
        "texts": len(store),
        "units": sum(len(part.gaze.words) for part in store.parts),
        "parts": len(store.parts),
    }
    line = f"{facts['texts']} texts, {facts['units']} units in {facts['parts']} part(s): {store.folder}"
    return Outcome(facts, lambda: print(line))
