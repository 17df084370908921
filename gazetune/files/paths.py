"""Paths as a user gives them, brought into one form. Cache keys, files of a run and error lines all use this form."""

from __future__ import annotations

import os
from pathlib import Path

from gazetune.errors import InputError

_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # bytes, on Linux and macOS


def find_path_fault(text: str) -> str | None:
    """Return why no file can have this path, for the end of an error line; None where one can.

    Examples
    --------
    >>> find_path_fault(""), find_path_fault("runs/mine")
    ('is empty', None)
    """
    if not text:
        return "is empty"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return "has control characters"
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    if len(encoded) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in encoded.split(b"/")):
        return f"is too long: a name has at most {_LONGEST_NAME} bytes and a path {_LONGEST_PATH}"
    try:
        Path(text).expanduser()
    except RuntimeError:
        return f"begins with {text.partition('/')[0]}, and there is no such user"
    return None


def resolve_path(given: str | Path, what: str) -> Path:
    """Return the absolute path of a file or folder, which need not exist: `~` and links are followed.

    Parameters
    ----------
    given
        As it was given: relative to the working directory, with `~`, `..` or a slash at its end.
    what
        What error lines begin with: an option or a config key.

    Raises
    ------
    InputError
        For a path that no file can have (`find_path_fault`), or in a circle of links.

    Examples
    --------
    >>> resolve_path("/runs/../runs/", "--storage")
    PosixPath('/runs')
    """
    text = os.fspath(given)
    fault = find_path_fault(text)
    if fault is None:
        try:
            return Path(text).expanduser().resolve()
        except (OSError, RuntimeError):
            fault = "leads in a circle of links"
    raise InputError(f"{what}: {show_text(text)} {fault}; accepted: the path of a file or folder")


def expand_home(text: str) -> str:
    """Return a path with the home folder in the place of a leading `~`.

    Raises
    ------
    ValueError
        For a path that no file can have (`find_path_fault`); its text ends an error line.
    """
    fault = find_path_fault(text)
    if fault is not None:
        raise ValueError(f"it {fault}")
    return os.path.expanduser(text) if text.startswith("~") else text


def path_exists(path: str | Path) -> bool:
    """Tell whether there is a file or folder of this path. A path that no file can have is not there.

    Examples
    --------
    >>> path_exists("/"), path_exists("x" * 300)
    (True, False)
    """
    return find_path_fault(os.fspath(path)) is None and os.path.exists(path)


def show_text(text: str) -> str:
    """Return a text as an error line quotes it: in one line, and cut where it is long.

    Examples
    --------
    >>> print(show_text("a" * 300))
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'
    """
    return repr(text) if len(text) <= 120 else f"{text[:40]!r}"[:-1] + "...'"
