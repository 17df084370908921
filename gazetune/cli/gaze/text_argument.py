"""The `--text` that commands take."""

from __future__ import annotations

import sys

from gazetune.errors import InputError


def read_text_argument(argument: str) -> str:
    """Return the text that `--text` gives or, for `-`, that stands on standard input.

    Raises
    ------
    InputError
        If its bytes are not UTF-8.
    """
    try:
        if argument == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        argument.encode("utf-8")  # Python hides foreign bytes of an argument in lone surrogates
        return argument
    except UnicodeError as error:
        raise InputError(f"--text: is not UTF-8 ({error})") from None
