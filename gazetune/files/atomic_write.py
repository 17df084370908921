"""Files that are there whole or not at all, whatever happens while they are written.

A file is written under a hidden name in the same folder and then renamed. A rename within a folder is atomic, so that
whoever reads the file sees the old content or the new one:

    .NAME.PID   <- written here
        | os.replace
        v
      NAME      <- seen here, always whole

A process that is killed on the way leaves the hidden file. Nothing reads it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path


def write_atomically(path: Path, content: str | bytes, durable: bool = False) -> None:
    """Write a file whole or not at all; one that is there is replaced.

    Parameters
    ----------
    path
        The file. Its folder must exist.
    content
        Text, which is written as UTF-8, or bytes.
    durable
        Wait until the content is on the disk, so that a power cut cannot leave the name on empty blocks.

    Raises
    ------
    OSError
        If the file cannot be written. What was there before stays.

    Examples
    --------
    >>> write_atomically(Path("note.txt"), "whole")
    >>> Path("note.txt").read_text()
    'whole'
    """
    write_files_atomically({path: content}, durable)


def write_files_atomically(contents: Mapping[Path, str | bytes], durable: bool = False) -> None:
    """Write several files, each whole or not at all, and none of them when one cannot be written.

    All of them are written before the first one is renamed into place, in the order of the mapping. A disk that is
    full therefore leaves all files as they were. A kill between two renames leaves the first files new, the rest old.

    Raises
    ------
    OSError
        If one of the files cannot be written.
    """
    hidden = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in contents}
    try:
        for path, content in contents.items():
            with hidden[path].open("wb") as file:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
        for path, written in hidden.items():
            os.replace(written, path)
    finally:
        for written in hidden.values():
            with contextlib.suppress(OSError):  # missing after the rename; or the folder is what is wrong
                written.unlink()


@contextlib.contextmanager
def create_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to write, alone in a hidden folder; it becomes `path` when the block ends well.

    For a library that takes the path of a file and keeps others beside it, such as the journal of a database. Only one
    process may do so at a time. What a killed one left is removed first.

    Raises
    ------
    OSError
        If nothing can be written there.

    Examples
    --------
    >>> with create_file(Path("numbers.db")) as unfinished:
    ...     _ = unfinished.write_text("1 2 3")
    >>> Path("numbers.db").read_text()
    '1 2 3'
    """
    hidden = path.with_name(f".{path.name}.making")
    shutil.rmtree(hidden, ignore_errors=True)
    hidden.mkdir()
    try:
        yield hidden / path.name
        (hidden / path.name).rename(path)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
