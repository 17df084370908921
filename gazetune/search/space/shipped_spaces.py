"""The search spaces and studies that come with the package; each is named by its file or as a shipped one."""

from __future__ import annotations

import os
from pathlib import Path

from gazetune.errors import InputError, did_you_mean
from gazetune.files.paths import path_exists, show_text


def find_space_file(space: str | Path, kind: str = "search space") -> Path:
    """Return the file of a search space or a study, given by its path or as the name of a shipped one.

    `kind` is what it is to be, for the error line. A file goes first: a shipped one is only looked for where there is
    no file of that name.

    Raises
    ------
    InputError
        When there is neither.

    Examples
    --------
    >>> find_space_file("demo").name
    'demo.yaml'
    """
    path = Path(os.path.expanduser(space))
    if path_exists(path) and path.is_file():
        return path
    shipped = shipped_spaces()
    if str(space) in shipped:
        return shipped[str(space)]
    known = did_you_mean(str(space), shipped)
    raise InputError(f"{kind} {show_text(str(space))}: neither a file nor a shipped {kind.split()[-1]}; {known}")


def shipped_spaces() -> dict[str, Path]:
    """Return the file of each search space and study that comes with the package, by name.

    Examples
    --------
    >>> {"demo", "pairs"} <= shipped_spaces().keys()
    True
    """
    package = Path(__file__).parents[2]
    # In the wheel they stand inside the package, in a checkout beside it.
    folders = (package / "search_spaces", package.parent / "search_spaces")
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}
