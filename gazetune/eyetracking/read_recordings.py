"""The recordings under a source, whatever trackers and corpora they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gazetune.errors import InputError
from gazetune.eyetracking.formats.registry import RECORDING_FORMATS, LoadedRecordings, RecordingSource
from gazetune.eyetracking.import_settings import DroppedPart, ImportSettings
from gazetune.eyetracking.recording import Recording

_DATA_SUFFIXES = (".csv", ".tsv", ".asc", ".edf", ".xls", ".xlsx", ".gz", ".zip")
"""What a recording may be saved as. A file of these that no format reads is told."""
_SIDE_FILES = ("order.csv", "info.csv", "general_features.csv", "words_fixprop.csv")
"""Tables that stand beside recordings and are none."""
_NO_FORMAT = "no format of recordings reads it"
_HIDDEN = "its name begins with a dot"
_UNREAD = (_NO_FORMAT, _HIDDEN)
_MOST_LINES = 10
"""Files that the report names one by one; more are counted in one line."""


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
        found = each.read(source)
        found.recordings = [replace(recording, format=each.name) for recording in found.recordings]
        loaded.add_all(found)
    for note in _describe_shared_names(loaded.recordings):
        loaded.add_note(note)
    if not claiming:
        loaded.dropped += _list_unread_files(source, loaded)
    if not loaded.recordings and all(each.what == "file" and each.reason in _UNREAD for each in loaded.dropped):
        unread = sum(each.count for each in loaded.dropped)
        ifllm = (
            "; with --format ifllm a folder of query_logs_table.csv"
            if (path / "query_logs_table.csv").is_file()
            else ""
        )
        more = f" ({unread} files of no known format, as {loaded.dropped[0].source})" if unread else ""
        raise InputError(
            f"{path}: has no recordings{more}; accepted: {'; '.join(each.files for each in formats)}{ifllm}"
        )
    return loaded


def _describe_shared_names(recordings: Sequence[Recording]) -> list[str]:
    """Return a line for each reader whose name is that of several folders or files: they may be several people."""
    places: dict[str, set[Path]] = {}
    for each in recordings:
        named = (path for path in (each.path, *each.path.parents) if each.reader in (path.name, path.stem))
        place = next(named, None)
        if place is not None:
            places.setdefault(each.reader, set()).add(place)
    return [
        f"{' and '.join(map(str, sorted(found)[:2]))}{' and others' if len(found) > 2 else ''}: are taken as one "
        f"reader's, {reader}; if they are not, give them other names"
        for reader, found in sorted(places.items())
        if len(found) > 1
    ]


def _list_unread_files(source: RecordingSource, loaded: LoadedRecordings) -> list[DroppedPart]:
    """Return the files that look like recordings and that no format read, so that none is left out in silence."""
    read = {*loaded.files, *(recording.path for recording in loaded.recordings)}
    read |= {Path(each.source) for each in loaded.dropped}
    unread = [
        path
        for path in source.list_files()
        if path.name.lower().endswith(_DATA_SUFFIXES)
        and path.name.lower() not in _SIDE_FILES
        and path not in read
        and source.words_folder not in path.parents
    ]
    hidden = [path for suffix in (".csv", ".asc", ".asc.gz") for path in source.list_hidden_files(f"*{suffix}")]
    parts = []
    for paths, reason in ((unread, _NO_FORMAT), (hidden, _HIDDEN)):
        if len(paths) > _MOST_LINES:  # a folder of results may hold thousands
            parts.append(DroppedPart("file", f"{paths[0]} and others", reason, len(paths)))
        else:
            parts += [DroppedPart("file", str(path), reason) for path in paths]
    return parts
