"""`gazetune ui`: MLflow's pages of a search or an ablation, with the runs in order and the columns that matter."""

from __future__ import annotations

import argparse
import os
import time
import webbrowser
from contextlib import ExitStack

from gazetune.cli.program.options import Subparsers, add_storage_option
from gazetune.cli.program.outcome import Outcome


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("ui", help="look at the runs of a search in MLflow", allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", help="name of a search, an ablation or a run of gazetune train")
    parser.add_argument("--port", type=int, help="port to listen on (default: 5000, or a free one)")
    parser.add_argument("--optuna", action="store_true", help="also optuna-dashboard, on the study of a search")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    add_storage_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Serve until Ctrl-C."""
    from gazetune.models.look_at import serve_pages

    with ExitStack() as stack:
        pages = stack.enter_context(serve_pages(args.name, args.storage, args.port, args.optuna))
        for what, address in pages.items():
            # Not the outcome of the command: it is needed while the command still runs.
            os.write(2, f"{what}: {address}\n".encode())
        if not args.no_browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            webbrowser.open(next(iter(pages.values())))
        os.write(2, b"Ctrl-C ends it.\n")
        while True:  # not one long wait: a signal that another thread gets does not wake this one
            time.sleep(1.0)
