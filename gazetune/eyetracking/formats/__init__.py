"""The recordings under a source, whatever trackers and corpora they are of. A new format joins by a file in here."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from gazetune.errors import InputError
from gazetune.eyetracking.format_registry import RECORDING_FORMATS, LoadedRecordings, RecordingSource
from gazetune.eyetracking.import_settings import ImportSettings

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["read_recordings"]


def read_recordings(path: Path, settings: ImportSettings) -> LoadedRecordings:
    """Return all recordings, and what of them was dropped.

    Parameters
    ----------
    path
        A folder of recordings of any of the `RECORDING_FORMATS`, mixed if need be, or one file.

    Raises
    ------
    InputError
        If a file is wrong, or there is none.
    """
    if not path.exists():
        raise InputError(f"{path}: does not exist; accepted: a folder of recordings")
    source = RecordingSource(path, settings)
    formats = sorted(RECORDING_FORMATS.values(), key=lambda each: (each.precedence, each.name))
    claiming = [each for each in formats if each.claims(source)]
    loaded = LoadedRecordings()
    for each in claiming[:1] or formats:
        loaded.add_all(each.read(source))
    if not loaded.recordings and not loaded.dropped:
        raise InputError(f"{path}: has no recordings; accepted: {'; '.join(each.files for each in formats)}")
    return loaded
