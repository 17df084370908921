"""`gazetune gaze store`: predict the reading measures of all texts of a data set, before anything needs them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazetune.errors import InputError, Interrupted

if TYPE_CHECKING:
    from gazetune.cluster.connect import ClusterSize
    from gazetune.config import Config
    from gazetune.gaze.store.gaze_store import GazeStore


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to those of `gazetune gaze`."""
    parser = subparsers.add_parser(
        "store", help="predict the measures of all texts of a data set ahead, in parallel", allow_abbrev=False
    )
    parser.add_argument("--data", required=True, metavar="SOURCE", help="preference pairs, as data.source")
    parser.add_argument(
        "--predictor", default="lexical", metavar="NAME", help="gaze predictor, as gaze.predictor (default: lexical)"
    )
    parser.add_argument("--path", metavar="FILE", help="the predictor's file, as gaze.path")
    parser.add_argument(
        "--storage",
        type=Path,
        default=Path("gazetune_runs"),
        metavar="DIR",
        help="folder of all results (default: ./gazetune_runs)",
    )
    parser.add_argument("--store", metavar="PLACE", help="folder or URI of the store, as gaze.store")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that predict (default: where it pays, all CPUs; 1: this one)",
    )
    parser.add_argument("--address", metavar="ADDRESS", help="join a running Ray cluster; auto finds it")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build the store and print what is in it."""
    from gazetune.cli.output import stdout_for_results

    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers {args.workers}: accepted: 1 or more")
    with stdout_for_results():
        from gazetune.config import Config
        from gazetune.config.yaml_file import with_absolute_paths

        gaze = {"predictor": args.predictor, "path": args.path, "store": args.store}
        config = with_absolute_paths(Config.model_validate({"data": {"source": args.data}, "gaze": gaze}))
        store = _build(config, args.storage.resolve(), args.workers, args.address)
    facts = {
        "store": args.store or str(store.folder.parent),
        "folder": str(store.folder),
        "predictor": store.fingerprint,
        "texts": len(store),
        "units": sum(len(part.gaze.words) for part in store.parts),
        "parts": len(store.parts),
    }
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        print(f"{facts['texts']} texts, {facts['units']} units in {facts['parts']} part(s): {store.folder}")
    return 0


def _build(config: Config, storage: Path, workers: int | None, address: str | None) -> GazeStore:
    from gazetune.cluster.connect import connect_to_cluster, disconnect_from_cluster
    from gazetune.config import ResourcesConfig
    from gazetune.gaze.store.parallel import RayPrediction
    from gazetune.gaze.store.progress import StoreProgress
    from gazetune.reward.data.stored_gaze import store_pairs

    joined: list[ClusterSize] = []

    def join() -> None:
        joined.append(connect_to_cluster(address, [ResourcesConfig()], storage))
        if workers is not None and workers > joined[0].cpus:
            raise InputError(f"--workers {workers}: there are {joined[0].cpus:g} CPUs; accepted: 1 to that")

    elsewhere = None if workers == 1 else RayPrediction(join, workers)
    with StoreProgress() as progress:
        try:
            return store_pairs(config, storage / "cache", progress.show, elsewhere)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped; {progress.said()}; the same command goes on from there") from None
        finally:
            if joined:
                disconnect_from_cluster()
