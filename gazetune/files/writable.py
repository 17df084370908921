"""Whether a place can be written, asked before anything is started that would write there."""

from __future__ import annotations

import tempfile
from pathlib import Path


def nearest_folder(path: Path) -> Path:
    """Return `path` if it exists, else the nearest of the folders above it that does.

    Examples
    --------
    >>> nearest_folder(Path("/nobody/made/this"))
    PosixPath('/')
    """
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def require_writable(folder: Path) -> None:
    """Try to write into a folder, or where it is missing into the one it will be made in. Nothing stays.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    with tempfile.TemporaryFile(dir=nearest_folder(folder)) as probe:
        probe.write(b"gazetune")
