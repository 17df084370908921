"""`gazetune report`: the report of a search or an ablation as a page to look at, Markdown, LaTeX and CSV."""

from __future__ import annotations

import argparse

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option, path_argument
from gazetune.cli.program.outcome import Outcome
from gazetune.files.paths import resolve_path


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "report", help="write the report of a search or an ablation: HTML, Markdown, LaTeX, CSV", allow_abbrev=False
    )
    parser.add_argument("name", metavar="NAME", help="name of the search or the ablation; it may still run")
    parser.add_argument("--out", type=path_argument, metavar="DIR", help="folder of the files (default: that of NAME)")
    add_storage_option(parser)
    add_json_option(parser, "print the paths of the files as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Write the files and return their paths."""
    from gazetune.ablation.evidence import read_run_evidence

    storage = resolve_path(args.storage, "--storage")
    evidence = read_run_evidence(storage, args.name)
    from gazetune.report.html.report_files import write_report_files  # draws: not for a name that is not there

    out = storage / args.name if args.out is None else resolve_path(args.out, "--out")
    files = write_report_files(evidence, out, keep_markdown=args.out is None and evidence.state == "finished")
    paths = {kind: str(path) for kind, path in files.items()}
    return Outcome({"name": args.name, "state": evidence.state, **paths}, lambda: print("\n".join(paths.values())))
