"""The recordings under a source, whatever trackers and corpora they are of."""

from __future__ import annotations

from pathlib import Path

from gazetune.errors import InputError
from gazetune.eyetracking.formats.registry import RECORDING_FORMATS, LoadedRecordings, RecordingSource
from gazetune.eyetracking.import_settings import ImportSettings


def read_recordings(path: Path, settings: ImportSettings) -> LoadedRecordings:
    """Return all recordings, and what of them was dropped.

    Every registered format looks for its own files under the source, so that a folder may mix them. Where the user
    names a format (the definition of a data set), that one alone is read.

    Parameters
    ----------
    path
        A folder of recordings, or one file.

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
