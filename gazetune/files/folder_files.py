"""The files of a folder to its leaves, links to folders and files included."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path


def list_files(folder: Path, report: Callable[[OSError], object]) -> list[Path]:
    """Return all files below a folder, sorted; a folder that several links lead to is searched once.

    Parameters
    ----------
    report
        Told of a folder that cannot be listed and of a file that cannot be looked at, such as a link to nothing.
    """
    found: list[Path] = []
    visited = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, onerror=report, followlinks=True):
        new = {}
        # A folder goes before the links to it.
        for name in sorted(folders, key=lambda each: (os.path.islink(os.path.join(place, each)), each)):
            real = os.path.realpath(os.path.join(place, name))
            if real not in visited:
                visited.add(real)
                new[name] = real
        folders[:] = list(new)
        for name in names:
            path = Path(place, name)
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    found.append(path)
            except OSError as error:
                report(error)
    return sorted(found)
