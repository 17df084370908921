"""Names of runs and searches: each is a folder below the storage folder, a study, and what `NAME:RANK` begins with."""

from __future__ import annotations

import re

from gazetune.errors import InputError
from gazetune.files.paths import find_path_fault, show_text

LONGEST_NAME = 100
"""Characters. Hidden files get longer names of the same folder, and the file system allows 255 bytes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OWN_FILES = ("cache", "mlartifacts", "mlflow.db")
"""What a storage folder holds beside runs; a file system may not tell upper and lower case apart."""


def is_folder_name(text: str) -> bool:
    """Tell whether a text can be the name of something in a folder, and not lead out of it.

    Examples
    --------
    >>> is_folder_name("mine"), is_folder_name("../mine"), is_folder_name("..")
    (True, False, False)
    """
    return "/" not in text and text not in (".", "..") and find_path_fault(text) is None


def check_name(name: object, what: str) -> str:
    """Return the name of a run or a search, if it can be one.

    Parameters
    ----------
    name
        The name as it was given.
    what
        What error lines begin with, such as `--name`.

    Raises
    ------
    InputError
        For a name with other characters than letters, digits, `.`, `_` and `-`, one that begins with a dot or a dash,
        is empty, too long, or what the storage folder calls files of its own.

    Examples
    --------
    >>> check_name("llama-8b.v2", "--name")
    'llama-8b.v2'
    >>> check_name("my run", "--name")
    Traceback (most recent call last):
    gazetune.errors.InputError: --name: 'my run' is not accepted; letters, digits, '.', '_' and '-' are
    """
    shown = show_text(name) if isinstance(name, str) else repr(name)
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        first = " (the first a letter or a digit)" if isinstance(name, str) and name[:1] in (".", "_", "-") else ""
        raise InputError(f"{what}: {shown} is not accepted; letters, digits, '.', '_' and '-' are{first}")
    if len(name) > LONGEST_NAME:
        raise InputError(f"{what}: {shown} has {len(name)} characters; accepted: {LONGEST_NAME} at most")
    if name.lower() in _OWN_FILES:
        raise InputError(f"{what}: '{name}' is what the storage folder calls a part of its own; choose another name")
    return name
