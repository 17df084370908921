"""The parser of the command line, and options that several subcommands have."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, TypeAlias

from gazetune.errors import InputError
from gazetune.errors.redact import hide_secrets
from gazetune.files.paths import expand_home, show_text


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line: the usage of `gazetune train` alone fills a screen."""

    def error(self, message: str) -> NoReturn:
        """Print the error and end with exit code 2."""
        self.exit(2, f"gazetune: error: {hide_secrets(message)} (see {self.prog} --help)\n")


Subparsers: TypeAlias = "argparse._SubParsersAction[OneLineParser]"
"""What a subcommand adds its parser to. argparse has no public name for it."""

DEFAULT_STORAGE = Path("gazetune_runs")
"""The folder of all results, when --storage does not name one."""


def path_argument(text: str) -> Path:
    """Return the path that an argument gives, `~` replaced; the `type` of every argument that is a path.

    Raises
    ------
    argparse.ArgumentTypeError
        For a path that no file can have; argparse names the option.
    """
    return Path(path_or_name_argument(text))


def path_or_name_argument(text: str) -> str:
    """Return an argument that may be a path, as `path_argument`, and that a name or an id may stand for."""
    try:
        return expand_home(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{show_text(text)} is not accepted: {error}") from None


def add_json_option(parser: argparse.ArgumentParser, help: str = "print one JSON document") -> None:
    """Add `--json`, which `main` obeys."""
    parser.add_argument("--json", action="store_true", help=help)


def add_storage_option(parser: argparse.ArgumentParser, default: Path | None = DEFAULT_STORAGE) -> None:
    """Add `--storage`; with `default` None the command can see whether it was given."""
    parser.add_argument(
        "--storage",
        type=path_argument,
        default=default,
        metavar="DIR",
        help=f"folder of all results (default: ./{DEFAULT_STORAGE})",
    )


def add_set_option(parser: argparse.ArgumentParser, help: str) -> None:
    """Add `--set KEY=VALUE`, which may be repeated; the values are `args.overrides`."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=help)


def add_tracking_option(parser: argparse.ArgumentParser) -> None:
    """Add `--tracking-uri`."""
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow server (default: a sqlite file in the storage)")


def add_address_option(parser: argparse.ArgumentParser) -> None:
    """Add `--address`."""
    parser.add_argument("--address", metavar="ADDRESS", help="join a running Ray cluster; auto finds it")


def refuse_changes(resumed: str, given: Mapping[str, object], accepted: str) -> None:
    """Refuse a command line that would change what it resumes.

    Parameters
    ----------
    resumed
        The name behind `--resume`.
    given
        By option, what it has on the command line; None where it is not there.
    accepted
        The options that may stand beside `--resume`.

    Raises
    ------
    InputError
        For the first option that is there.
    """
    for option, value in given.items():
        if value is not None:
            raise InputError(f"--resume {resumed}: {option} cannot be changed; accepted: {accepted}")
