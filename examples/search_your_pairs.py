"""Search for the best reward model of your own preference pairs, and say whether gaze helped.

    python examples/search_your_pairs.py my_pairs.jsonl --trials 8

The space is the shipped `pairs`: the lexical gaze predictor and a tiny backbone, on two CPUs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gazetune import run_search


def main() -> None:
    """Search, and print the winner, its gain over the best model without gaze, and where its weights lie."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="a file of preference pairs: .jsonl, .jsonl.gz or .parquet")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--storage", type=Path, default=Path("gazetune_runs"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    args = parser.parse_args()

    document = run_search(
        "pairs",
        storage=args.storage,
        trials=args.trials,
        overrides=[f"data.source={args.pairs}", *args.overrides],
    )

    best = document.best
    if best is None:
        raise SystemExit("no trial was trained to its full budget")
    low, high = best.test.ci95
    print(f"trial {best.id} won with {best.params}")
    print(f"test accuracy {best.test.accuracy:.3f}, 95 % interval {low:.3f} to {high:.3f}, n = {best.test.n}")
    no_gaze = document.baselines["no_gaze"]
    if no_gaze is not None:
        low, high = no_gaze.difference_ci95
        print(f"over the best model without gaze: {no_gaze.difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}")
    confirmed = None if document.confirmation is None else document.confirmation.model
    print(f"whether gaze helps, and what the controls reached: {document.report}")
    print(f"model: {document.storage}/{confirmed or f'trials/{best.id}'}/best")


if __name__ == "__main__":
    main()
