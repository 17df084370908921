"""`gazetune export`: a saved model without gaze as a plain model that transformers loads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write a model without gaze as a sequence-classification model of transformers",
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", metavar="RUN", help="a saved model's folder, or the name of a run or a finished search"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to write; new or empty")
    parser.add_argument(
        "--storage",
        type=Path,
        default=Path("gazetune_runs"),
        metavar="DIR",
        help="folder of all results (default: ./gazetune_runs)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export and say what was written."""
    from gazetune.cli.output import stdout_for_results

    with stdout_for_results():
        from gazetune.report.model_card import classifier_card
        from gazetune.report.saved_model import find_saved_model
        from gazetune.reward.saved.export import export_classifier
        from gazetune.reward.saved.saving import saved_card

        folder = find_saved_model(args.model, args.storage)
        export_classifier(folder, args.out, classifier_card(saved_card(folder)))
    if args.json:
        print(json.dumps({"model": str(folder), "out": str(args.out)}, indent=2))
    else:
        print(f"{folder} exported to {args.out}")
    return 0
