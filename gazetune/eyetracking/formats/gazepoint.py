"""Recordings in the exports of Gazepoint Analysis, with the boxes of the words beside them.

    source/words/TRIAL.csv              text;x1;y1;x2;y2 and perhaps line: the words of a screen in reading order;
                                        TRIAL_p1.csv, TRIAL_p2.csv: of a text on several pages
    source/READER/*_fixations.csv       one row a fixation
    source/READER/*_all_gaze.csv        one row a sample; used where there is no file of fixations

The best point of gaze is in fractions of the screen (FPOGX, FPOGY), start and duration of a fixation (FPOGS, FPOGD) in
seconds. The column TIME(date of the recording) has another name in each file and repeats what FPOGS and FPOGD say; it
is checked to be there, since a file without it was changed by hand or is of another tracker. A fixation belongs to the
trial (or page) that MEDIA_NAME (without its ending) or USER names; which rows are one fixation, `gazepoint_rows` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gazetune.errors import InputError
from gazetune.eyetracking.formats.gazepoint_rows import COLUMNS, FixationRow, find_fixations
from gazetune.eyetracking.formats.registry import LoadedRecordings, RecordingSource, recording_format
from gazetune.eyetracking.import_settings import DroppedPart, ImportSettings
from gazetune.eyetracking.recording import DEFAULT_SCREEN, Fixations, Recording, ScreenSize
from gazetune.eyetracking.split_readings import PageShowing, describe_overlaps, describe_page_turns, split_readings
from gazetune.eyetracking.stimulus_pages import StimulusPage, join_pages
from gazetune.files.delimited import read_header

_ENDINGS = ("_fixations", "_all_gaze")
_INVALID = "marked as not valid (FPOGV)"
_ELSEWHERE = "on a screen without word boxes"
_OFF_SCREEN = "off the screen"
_ON_CROSS = "on the cross before a trial"
_REPEATED = "row for row another fixation"


@recording_format(
    "gazepoint", files="*_fixations.csv and *_all_gaze.csv of Gazepoint, with a folder words/ of boxes", precedence=20
)
def read_gazepoint(source: RecordingSource) -> LoadedRecordings:
    """Return the recordings in all exports of Gazepoint.

    Raises
    ------
    InputError
        If an export is wrong (see `read_export`), or a column or page of the word boxes is missing.
    """
    loaded = LoadedRecordings()
    # A file that the user names may have another ending.
    paths = [source.path] if source.path.is_file() else source.find_files("*.csv")
    exports, repeated = drop_repeated([path for path in paths if is_export(path)])
    loaded.files.update(exports)
    loaded.dropped += [
        DroppedPart("file", str(path), "the same recording has a file of fixations") for path in repeated
    ]
    pages = source.read_pages() if exports else {}
    screen = source.settings.screen or DEFAULT_SCREEN
    for path in exports:
        if not pages:
            loaded.dropped.append(DroppedPart("file", str(path), f"no word boxes in {source.words_folder}"))
            continue
        reader = source.name_reader(path)
        found, left_out = read_export(path, source.path, pages, screen, reader, source.settings)
        loaded.recordings += found
        loaded.dropped += [DroppedPart("fixations", str(path), reason, count) for reason, count in left_out.items()]
        if source.settings.screen is None:
            loaded.add_note(f"the screen is taken to be {screen[0]}x{screen[1]} (exports do not say; --screen does)")
    source.note_shared_folders(exports, loaded)
    return loaded


def is_export(path: Path) -> bool:
    """Return whether the file is named and built like an export of fixations or of all gaze, or cannot be read."""
    if not path.stem.lower().endswith(_ENDINGS):
        return False
    header = [name.strip().upper() for name in read_header(path)]
    return "FPOGX" in header or not header


def drop_repeated(exports: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the exports to read, and those of all gaze whose recording has a file of fixations too."""
    with_fixations = {_name_recording(path) for path in exports if path.stem.lower().endswith("_fixations")}
    repeated = [
        path for path in exports if path.stem.lower().endswith("_all_gaze") and _name_recording(path) in with_fixations
    ]
    return [path for path in exports if path not in repeated], repeated


def read_export(
    path: Path,
    source: Path,
    pages: Mapping[str, StimulusPage],
    screen: ScreenSize,
    reader: str | None = None,
    settings: ImportSettings | None = None,
) -> tuple[list[Recording], dict[str, int]]:
    """Return the readings in one export, and how many of its fixations were left out, by reason.

    Parameters
    ----------
    path
        A file of fixations or of all gaze; of all gaze the last valid sample of each fixation has its final position
        and duration.
    source
        Folder of the import.
    pages
        The word boxes of each page by its name.
    reader
        Whose export it is; unset: as `RecordingSource.name_reader` says.

    Raises
    ------
    InputError
        If a column is missing, a value is no number, or a duration is negative.
    """
    settings = settings or ImportSettings()
    reader = reader or RecordingSource(source, settings).name_reader(path)
    # One row a fixation: rows that agree in all but their counter were written twice.
    found = find_fixations(path, pages, settings.is_cross, one_row_each=not path.stem.lower().endswith("_all_gaze"))
    if not any(name.strip().upper().startswith("TIME(") for name in read_header(path)):
        raise InputError(f"{path} row 1: column 'TIME(...)' is missing; it has {', '.join(read_header(path)[:8])}")
    counts = dict.fromkeys((_INVALID, _ELSEWHERE, _OFF_SCREEN, _ON_CROSS), 0)
    counts[_REPEATED] = found.repeated_rows
    kept: list[FixationRow] = []
    for each in found.fixations:
        if each.row is None:
            counts[_INVALID] += 1
        elif each.is_cross:
            counts[_ON_CROSS] += 1
        elif each.page is None:
            counts[_ELSEWHERE] += 1
        elif not all(0 <= each.row.get_float(name) <= 1 for name in COLUMNS[:2]):
            counts[_OFF_SCREEN] += 1
        else:
            kept.append(each)
    offsets = _find_cross_offsets(found.fixations, screen)
    recordings = _build_recordings(path, reader, pages, kept, offsets, screen)
    return recordings, {reason: count for reason, count in counts.items() if count}


def _build_recordings(
    path: Path,
    reader: str,
    pages: Mapping[str, StimulusPage],
    kept: Sequence[FixationRow],
    offsets: Mapping[int, tuple[float, float]],
    screen: ScreenSize,
) -> list[Recording]:
    """Return a recording for each reading of each trial. The fixations are in the order of time, as the file is."""
    shown: dict[int, PageShowing] = {}
    for each in kept:
        if each.page is not None and each.showing not in shown:
            shown[each.showing] = PageShowing(each.page.trial, each.page.number, each.begins_anew)
    page_counts = {each.trial: 0 for each in pages.values()}
    for page in pages.values():
        page_counts[page.trial] += 1
    reading_of = dict(zip(shown, split_readings(list(shown.values()), page_counts), strict=True))
    groups: dict[tuple[str, int], list[FixationRow]] = {}
    for each in kept:
        groups.setdefault((shown[each.showing].trial, reading_of[each.showing]), []).append(each)
    recordings = []
    for (trial, reading), members in groups.items():
        rows = [each.row for each in members if each.row is not None]
        x, y, start, duration = (np.array([row.get_float(name) for row in rows]) for name in COLUMNS[:4])
        page_of_fixation = np.array([shown[each.showing].page for each in members], dtype=np.int64)
        cross_offset = np.array([offsets.get(each.showing, (np.nan, np.nan)) for each in members])
        turns = describe_page_turns([shown[number].page for number in dict.fromkeys(each.showing for each in members)])
        fixations = Fixations(x * screen[0], y * screen[1], duration, start)
        notes = [note for note in (turns, describe_overlaps(fixations)) if note]
        recordings.append(
            join_pages(path, reader, trial, pages, screen, fixations, page_of_fixation, reading, cross_offset, notes)
        )
    return recordings


def _find_cross_offsets(fixations: Sequence[FixationRow], screen: ScreenSize) -> dict[int, tuple[float, float]]:
    """Return for each showing of a page the pixels (x, y) that the last fixation on a cross before it lay off it."""
    offsets: dict[int, tuple[float, float]] = {}
    latest: tuple[float, float] | None = None
    for each in fixations:
        if each.row is None:
            continue
        if each.is_cross:
            x, y = (each.row.get_float(name) - 0.5 for name in COLUMNS[:2])
            latest = x * screen[0], y * screen[1]
        elif latest is not None:
            offsets.setdefault(each.showing, latest)
    return offsets


def _name_recording(path: Path) -> tuple[Path, str]:
    """Return folder and name of the recording that an export is of."""
    stem = path.stem.lower()
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    return path.parent, stem
