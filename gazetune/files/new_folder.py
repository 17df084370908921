"""Folders that are made whole or not at all, by several processes at once if need be.

The content is written to a hidden folder, which is renamed when it is complete:

    HOME/.MARK.NAME    <- written here; MARK is random, so that nobody else writes there
        | rename
        v
    .../NAME           <- seen here, always whole

Use `gazetune.files.replaced_folder` where an older folder of the same name is to be replaced.
"""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gazetune.files.writable import nearest_folder


@contextmanager
def create_folder(path: Path) -> Iterator[Path]:
    """Give an empty hidden folder to write to; it becomes `path` when the block ends without an error.

    Folders above `path` that are missing are made at the end, so that a block that fails leaves nothing. What killed
    processes left of the same folder is removed as soon as there is one of that name.

    Yields
    ------
    Path
        The folder to write to. Its name begins with a dot.

    Raises
    ------
    OSError
        If nothing can be written there, or `path` is a file or a folder with content in the end.

    Examples
    --------
    >>> with create_folder(Path("results")) as folder:
    ...     _ = (folder / "note.txt").write_text("whole")
    ...     Path("results").exists()
    False
    >>> [file.name for file in Path("results").iterdir()]
    ['note.txt']
    """
    # The nearest folder that exists is on the same file system as `path` will be, so that a rename can do it.
    home = nearest_folder(path.absolute().parent)
    hidden = home / _hidden_name(path.name, uuid.uuid4().hex)
    try:
        hidden.mkdir()
        yield hidden
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.rename(path)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if os.path.lexists(path):
            for left in home.glob(_hidden_name(glob.escape(path.name), "?" * 32)):
                shutil.rmtree(left, ignore_errors=True)


def _hidden_name(name: str, mark: str) -> str:
    return f".{mark}.{name}"
