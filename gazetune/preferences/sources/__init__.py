"""Where preference pairs are read from: files, folders, published data sets. A new data set joins by a file in here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from gazetune.errors import InputError, did_you_mean
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.sources.hub import hub_rows
from gazetune.preferences.sources.local import local_splits
from gazetune.preferences.sources.registry import RAW_FORMATS, Dropped, source
from gazetune.preferences.sources.rows import SUFFIXES

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Dropped", "published_splits", "source"]


def published_splits(name: str, invert_oasst1: bool = False) -> dict[str, Iterator[PreferencePair | Dropped]]:
    """Return the pairs of each split of `data.source`, read lazily: a file, a folder, or a registered hub id.

    What exists on disk goes before a hub id of the same spelling. With `invert_oasst1` the pairs of OASST1 are those of
    the reference: chosen and rejected change places.

    Raises
    ------
    InputError
        For a missing or unreadable file, an unknown id or an unreachable hub; while reading, for a bad row.
    """
    path = Path(name).expanduser()
    if path.exists():
        return local_splits(path, invert_oasst1)
    known = ["planted", *RAW_FORMATS]
    if name in RAW_FORMATS:
        files = [f"a path to a {', '.join(SUFFIXES)} file"]
        convert = RAW_FORMATS[name].converter(invert_oasst1)
        return {split: convert(rows) for split, rows in hub_rows(name, known + files).items()}
    if name.endswith(SUFFIXES) or name.startswith((".", "/", "~")):
        raise InputError(f"data.source: there is no file '{name}'; accepted: a path to a {', '.join(SUFFIXES)} file")
    raise InputError(
        f"data.source: '{name}' is neither a file nor a supported data set; {did_you_mean(name, known)} "
        f"(or a path to a {', '.join(SUFFIXES)} file)"
    )
