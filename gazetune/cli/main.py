"""`gazetune`: parse the command line, run one subcommand, end with its exit code.

Results go to stdout and everything else to stderr. Exit codes: 0; 1 the run failed; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn, Protocol

from gazetune import __version__
from gazetune.cli import (
    ablate,
    compare,
    doctor,
    evaluate,
    export,
    plan,
    report,
    reproduce,
    search,
    space,
    status,
    stop,
    train,
    ui,
)
from gazetune.cli.gaze import group as gaze
from gazetune.cli.models import explain
from gazetune.cli.program.argument_secrets import hide_argument_secrets
from gazetune.cli.program.options import OneLineParser, Subparsers
from gazetune.cli.program.outcome import Outcome
from gazetune.cli.program.output import set_up_logging, stdout_for_results
from gazetune.cli.program.stop_signals import StopSignals
from gazetune.errors import GazetuneError
from gazetune.errors.redact import hide_secrets
from gazetune.train.processes.deepspeed_op import add_ninja_to_path


class Command(Protocol):
    """What the file of a subcommand has."""

    def add_parser(self, subparsers: Subparsers) -> None:
        """Add the parser of the subcommand, whose default `run` is a function from its arguments to an `Outcome`."""


COMMANDS: tuple[Command, ...] = (
    search,
    ablate,
    status,
    stop,
    report,
    ui,
    evaluate,
    compare,
    reproduce,
    space,
    train,
    gaze,
    plan,
    explain,
    export,
    doctor,
)
"""The subcommands, in the order of `gazetune --help`. A new one is a file in this folder and an entry here."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line. Imports nothing heavy: `gazetune --help` must be quick."""
    parser = OneLineParser(prog="gazetune", description="Find the best gaze-aware reward model, and prove it.")
    parser.add_argument("--version", action="version", version=f"gazetune {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    for subparser in leaf_parsers(parser).values():
        subparser.set_defaults(json=False)  # for a subcommand without --json
        logs = subparser.add_argument_group("messages on stderr")
        logs.add_argument("--verbose", action="store_true", help="also details and what the libraries say")
        logs.add_argument("--quiet", action="store_true", help="only warnings and errors")
        logs.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")
    return parser


def leaf_parsers(parser: argparse.ArgumentParser, name: str = "") -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command that can be run, by its words after `gazetune`, such as `gaze predict`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            nested = [leaf_parsers(each, f"{name} {word}".strip()) for word, each in action.choices.items()]
            return {leaf: found for leaves in nested for leaf, found in leaves.items()}
    return {name: parser}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Raises
    ------
    SystemExit
        From argparse: 0 after `--help` and `--version`, 2 for a wrong command line.
    """
    hide_argument_secrets(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(argv)
    set_up_logging(verbose=args.verbose, quiet=args.quiet)
    add_ninja_to_path()  # Ray's workers on this machine inherit it
    with StopSignals() as stop:
        return _run_command(args, stop)


def _run_command(args: argparse.Namespace, stop: StopSignals) -> int:
    """Run the command that was parsed, print its outcome or its error, and return the exit code."""
    try:
        with stdout_for_results():
            outcome: Outcome = args.run(args)
        _print_outcome(outcome, args.json)
        return outcome.exit_code
    except GazetuneError as error:
        _print_error(str(error))
        # Of a command that was told to stop, other processes may have been told too, and have ended first.
        return 130 if stop.received else error.exit_code
    except KeyboardInterrupt:
        _print_error("interrupted; run the same command again")
        return 130
    except Exception as error:
        if stop.received:
            _print_error(f"stopped by a signal ({type(error).__name__}: {error})")
            return 130
        if args.debug or os.environ.get("GAZETUNE_DEBUG") == "1":
            print(hide_secrets(traceback.format_exc()), end="", file=sys.stderr)
            return 1
        if isinstance(error, OSError) and _is_disk_full(error):
            where = f" ({error.filename})" if error.filename else ""
            _print_error(f"the disk is full{where}; free some space, or choose another --storage, and run it again")
            return 1
        _print_error(f"unexpected {type(error).__name__}: {error} (traceback in {_write_traceback()})")
        return 1


def _is_disk_full(error: OSError) -> bool:
    """Tell whether a write ended for want of space; numpy says so without an error number."""
    if error.errno is None:
        return re.fullmatch(r"\d+ requested and \d+ written", str(error)) is not None
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _print_outcome(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome.document, indent=2))
    else:
        outcome.print_for_people()


def _print_error(message: str) -> None:
    print(f"gazetune: error: {hide_secrets(' '.join(message.split()))}", file=sys.stderr)


def _write_traceback() -> str:
    with tempfile.NamedTemporaryFile("w", prefix="gazetune-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write(hide_secrets(traceback.format_exc()))
    return log.name


def entry() -> NoReturn:
    """Be the `gazetune` program."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
