"""What a subcommand gives back to `main`: its result as a document, and how people see it.

A subcommand is one file. Its `add_parser` declares the options, and its `run` calls a function of the package:

    options -> run(args) -> Outcome -> main -> stdout, exit code

While `run` works, everything that any library prints goes to stderr. Only then does `main` print the outcome to
stdout: the document as JSON with `--json`, else what `print_for_people` prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a subcommand.

    Examples
    --------
    >>> outcome = Outcome({"texts": 3}, lambda: print("3 texts"))
    >>> outcome.print_for_people()
    3 texts
    >>> outcome.exit_code
    0
    """

    document: object
    """What `--json` prints: dicts, lists, texts, numbers, booleans and None. None where there is no `--json`."""
    print_for_people: Callable[[], None]
    """Prints the result to stdout."""
    exit_code: int = 0
    """0 unless the result itself is bad news; what went wrong on the way is raised instead."""
