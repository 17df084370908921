"""Values of config keys that are the names of files: the file of a new sampler, fusion or loss is a new value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def names_of_files(folder: str, first: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of the files in a folder of the package; each stands for an accepted value.

    The config is imported before the rooms that it configures, so it reads their file names and imports nothing.

    Parameters
    ----------
    folder
        Its path below the package.
    first
        Names that are shown first, in this order; the others follow, sorted.

    Examples
    --------
    >>> names_of_files("reward/model/fusions", first=["none"])[:3]
    ('none', 'add', 'concat')
    """
    files = (Path(__file__).parents[1] / folder).glob("*.py")
    names = sorted(file.stem for file in files if file.stem not in ("__init__", "registry"))
    return (*(name for name in first if name in names), *(name for name in names if name not in first))
