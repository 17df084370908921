"""The errors a user can cause or meet, and the exit code each one ends the command with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gazetune.errors.redact import hide_secrets


class GazetuneError(Exception):
    """Base of every error that the command line prints as one line instead of a traceback.

    Its text never holds a password: what is like one is replaced by `***`.
    """

    exit_code = 1

    def __init__(self, *args: object) -> None:
        super().__init__(*(hide_secrets(arg) if isinstance(arg, str) else arg for arg in args))


class InputError(GazetuneError):
    """Bad input: names the file, key and value, and what would be accepted. Nothing was started or written."""

    exit_code = 2


class RunError(GazetuneError):
    """The run itself failed: every trial FAILed, a loss became NaN, a worker group could not be kept up."""

    exit_code = 1


class Interrupted(GazetuneError):
    """Stopped by the user in a state that can be resumed."""

    exit_code = 130


def did_you_mean(given: str, accepted: Iterable[str]) -> str:
    """Return the tail of an error line: the nearest accepted spelling, or all of them when none is near.

    Examples
    --------
    >>> did_you_mean("lexcal", ["lexical", "planted"])
    "did you mean 'lexical'?"
    >>> did_you_mean("x", ["lexical", "planted"])
    'accepted: lexical, planted'
    """
    names = [str(name) for name in accepted]
    near = difflib.get_close_matches(given, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"accepted: {', '.join(names)}"
