"""Folders that are replaced by a newer version of themselves, where at every moment one of the two is whole.

A folder cannot be renamed over another one that has content, so that it takes two renames:

    .NAME.partial   NAME              the new one is written beside the old one
    .NAME.partial   .NAME.previous    the old one is set aside
    NAME            .NAME.previous    the new one takes its place
    NAME                              the old one is removed

A process that is killed between the two renames leaves no NAME, but the whole old folder as `.NAME.previous`;
`recover_folder` puts it back. Only one process may replace a folder at a time.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from gazetune.files.paths import path_exists


@contextlib.contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Give an empty hidden folder to write to; it takes the place of `folder` when the block ends without an error.

    What a killed process left in the hidden folder is removed first. Folders above `folder` are made.

    Raises
    ------
    OSError
        If the disk is full or cannot be written. What was in `folder` stays.

    Examples
    --------
    >>> for version in ("old", "new"):
    ...     with replace_folder(Path("model")) as partial:
    ...         _ = (partial / "weights").write_text(version)
    >>> (Path("model") / "weights").read_text()
    'new'
    """
    partial = partial_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        swap_folders(partial, folder)
    except (Exception, KeyboardInterrupt):
        shutil.rmtree(partial, ignore_errors=True)
        raise


def partial_folder(folder: Path) -> Path:
    """Return the hidden folder in which the next version of `folder` is written."""
    return folder.with_name(f".{folder.name}.partial")


def swap_folders(new: Path, folder: Path) -> None:
    """Put the finished folder `new` in the place of `folder`; at every moment one of the two is whole."""
    previous = _previous_folder(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    new.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def recover_folder(folder: Path) -> bool:
    """Undo a replacement that was killed half-way; tell whether `folder` exists now.

    Several processes may ask at once, but none while another one replaces the folder.
    """
    if not folder.name or path_exists(folder):  # `.` and `/` have no name
        return True
    previous = _previous_folder(folder)
    if path_exists(previous):
        with contextlib.suppress(FileNotFoundError):  # another worker was faster
            previous.rename(folder)
    return path_exists(folder)


def _previous_folder(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")
