"""Git LFS pointers: what a clone without `git lfs pull` has in the place of its large files."""

from __future__ import annotations

from pathlib import Path

from gazetune.errors import InputError

_FIRST_LINE = b"version https://git-lfs.github.com/spec/v1"
"""Of every pointer (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""


def is_lfs_pointer(path: Path) -> bool:
    """Tell whether a file is a Git LFS pointer."""
    with path.open("rb") as file:
        return file.read(len(_FIRST_LINE)) == _FIRST_LINE


def refuse_lfs_pointer(path: Path) -> None:
    """Raise `InputError` when a file is a Git LFS pointer, or cannot be read."""
    try:
        found = is_lfs_pointer(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if found:
        raise InputError(f"{path}: is a Git LFS pointer, not the file itself; git lfs pull in its folder fetches it")
