"""Recordings in the exports of Gazepoint Analysis, with the boxes of the words beside them.

    source/words/TRIAL.csv              text;x1;y1;x2;y2 and perhaps line: the words of a screen in reading order;
                                        TRIAL_p1.csv, TRIAL_p2.csv: of a text on several pages
    source/READER/*_fixations.csv       one row a fixation
    source/READER/*_all_gaze.csv        one row a sample; used where there is no file of fixations

The best point of gaze is in fractions of the screen (FPOGX, FPOGY), start and duration of a fixation (FPOGS, FPOGD) in
seconds. The column TIME(date of the recording) has another name in each file and repeats what FPOGS and FPOGD say; it
is checked to be there, since a file without it was changed by hand or is of another tracker. A fixation belongs to the
trial (or page) that MEDIA_NAME (without its ending) or USER names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gazetune.errors import InputError
from gazetune.eyetracking.formats.registry import LoadedRecordings, RecordingSource, recording_format
from gazetune.eyetracking.import_settings import DroppedPart
from gazetune.eyetracking.recording import DEFAULT_SCREEN, Fixations, Recording, ScreenSize
from gazetune.eyetracking.stimulus_pages import StimulusPage, find_stimulus_page, join_pages
from gazetune.files.delimited import TableRow, read_header, read_table

_COLUMNS = ("FPOGX", "FPOGY", "FPOGS", "FPOGD", "FPOGID", "FPOGV")
_ENDINGS = ("_fixations", "_all_gaze")
_INVALID = "marked as not valid (FPOGV)"
_ELSEWHERE = "on a screen without word boxes"
_OFF_SCREEN = "off the screen"

_FixationRows = dict[tuple[int, int], TableRow]
"""The row of each fixation by (page, number of the fixation), in the order of time."""


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
    loaded.dropped += [
        DroppedPart("file", str(path), "the same recording has a file of fixations") for path in repeated
    ]
    pages = source.read_pages() if exports else {}
    for path in exports:
        if not pages:
            loaded.dropped.append(DroppedPart("file", str(path), f"no word boxes in {source.words_folder}"))
            continue
        found, left_out = read_export(path, source.path, pages, source.settings.screen or DEFAULT_SCREEN)
        loaded.recordings += found
        loaded.dropped += [DroppedPart("fixations", str(path), reason, count) for reason, count in left_out.items()]
    return loaded


def is_export(path: Path) -> bool:
    """Return whether the file is named and built like an export of fixations or of all gaze, or cannot be read."""
    return path.stem.endswith(_ENDINGS) and ("FPOGX" in (header := read_header(path)) or not header)


def drop_repeated(exports: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the exports to read, and those of all gaze whose recording has a file of fixations too."""
    repeated = [
        path
        for path in exports
        if path.stem.endswith("_all_gaze") and path.with_name(path.name.replace("_all_gaze", "_fixations")) in exports
    ]
    return [path for path in exports if path not in repeated], repeated


def read_export(
    path: Path, source: Path, pages: Mapping[str, StimulusPage], screen: ScreenSize
) -> tuple[list[Recording], dict[str, int]]:
    """Return the trials of one export, and how many of its fixations were left out, by reason.

    Parameters
    ----------
    path
        A file of fixations or of all gaze; of all gaze the last valid sample of each fixation has its final position
        and duration.
    source
        Folder of the import. The folder of the file below it names the reader, else the file does.
    pages
        The word boxes of each page by its name.

    Raises
    ------
    InputError
        If a column is missing, a value is no number, or a duration is negative.
    """
    last, counts = _find_final_rows(path, pages)
    header = read_header(path)
    if not any(name.startswith("TIME(") for name in header):
        raise InputError(f"{path} row 1: column 'TIME(...)' is missing; it has {', '.join(header[:8])}")
    reader = path.parent.name if path.parent != source else path.stem
    for ending in _ENDINGS:
        reader = reader.removesuffix(ending)
    recordings = [_build_recording(path, reader, trial, pages, rows, screen) for trial, rows in last.items()]
    return recordings, {reason: len(numbers) for reason, numbers in counts.items() if numbers}


def _find_final_rows(
    path: Path, pages: Mapping[str, StimulusPage]
) -> tuple[dict[str, _FixationRows], dict[str, set[int]]]:
    """Return for each trial the last valid row of each fixation on the screen, and the numbers of those left out.

    A fixation has many rows in a file of all gaze. It is left out for a reason only where no row of it can be used,
    and counted for one reason alone.
    """
    last: dict[str, _FixationRows] = {}
    counts: dict[str, set[int]] = {_INVALID: set(), _ELSEWHERE: set(), _OFF_SCREEN: set()}
    for row in read_table(path, _COLUMNS):
        number, page = row.get_int("FPOGID"), _find_page_of(row, pages)
        row.get_seconds("FPOGD")
        if row.values["FPOGV"].strip() != "1":
            counts[_INVALID].add(number)
        elif page is None:
            counts[_ELSEWHERE].add(number)
        else:
            last.setdefault(page.trial, {})[page.number, number] = row
    counts[_ELSEWHERE] -= {number for rows in last.values() for _, number in rows}
    for rows in last.values():
        off = [key for key, row in rows.items() if not all(0 <= row.get_float(name) <= 1 for name in _COLUMNS[:2])]
        for key in off:
            del rows[key]
        counts[_OFF_SCREEN] |= {number for _, number in off}
    counts[_INVALID] -= counts[_ELSEWHERE] | counts[_OFF_SCREEN] | {n for rows in last.values() for _, n in rows}
    return last, counts


def _find_page_of(row: TableRow, pages: Mapping[str, StimulusPage]) -> StimulusPage | None:
    return find_stimulus_page(pages, *((row.values.get(name) or "").strip() for name in ("MEDIA_NAME", "USER")))


def _build_recording(
    path: Path,
    reader: str,
    trial: str,
    pages: Mapping[str, StimulusPage],
    rows: _FixationRows,
    screen: ScreenSize,
) -> Recording:
    """Return a trial of all its pages. The rows are in the order of time, as the file is."""
    x, y, start, duration = (np.array([row.get_float(name) for row in rows.values()]) for name in _COLUMNS[:4])
    page = np.array([page for page, _ in rows], dtype=np.int64)
    fixations = Fixations(x * screen[0], y * screen[1], duration, start)
    return join_pages(path, reader, trial, pages, screen, fixations, page)
