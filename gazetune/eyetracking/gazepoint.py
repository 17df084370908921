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
from gazetune.eyetracking.fixations import Fixations, Recording
from gazetune.eyetracking.pages import Screen, find_screen, paged_recording
from gazetune.files.delimited import TableRow, header_of, read_table

_COLUMNS = ("FPOGX", "FPOGY", "FPOGS", "FPOGD", "FPOGID", "FPOGV")
_ENDINGS = ("_fixations", "_all_gaze")
_INVALID, _ELSEWHERE, _OFF = "marked as not valid (FPOGV)", "on a screen without word boxes", "off the screen"


def is_export(path: Path) -> bool:
    """Return whether the file is named and built like an export of fixations or of all gaze, or cannot be read."""
    return path.stem.endswith(_ENDINGS) and ("FPOGX" in (header := header_of(path)) or not header)


def without_twins(exports: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the exports to read, and those of all gaze whose recording has a file of fixations too."""
    twins = [
        path
        for path in exports
        if path.stem.endswith("_all_gaze") and path.with_name(path.name.replace("_all_gaze", "_fixations")) in exports
    ]
    return [path for path in exports if path not in twins], twins


def read_export(
    path: Path, source: Path, screens: Mapping[str, Screen], screen: tuple[int, int]
) -> tuple[list[Recording], dict[str, int]]:
    """Return the trials of one export, and how many of its fixations were left out, by reason.

    Parameters
    ----------
    path
        A file of fixations or of all gaze; of all gaze the last valid sample of each fixation has its final place and
        duration.
    source
        Folder of the import. The folder of the file below it names the reader, else the file does.
    screen
        Width and height in pixels.

    Raises
    ------
    InputError
        If a column is missing, a value is no number, or a duration is negative.
    """
    last, counts = _final_rows(path, screens)
    if not any(name.startswith("TIME(") for name in header_of(path)):
        raise InputError(f"{path} row 1: column 'TIME(...)' is missing; it has {', '.join(header_of(path)[:8])}")
    reader = path.parent.name if path.parent != source else path.stem
    for ending in _ENDINGS:
        reader = reader.removesuffix(ending)
    recordings = [_recording(path, reader, trial, screens, rows, screen) for trial, rows in last.items()]
    return recordings, {reason: len(numbers) for reason, numbers in counts.items() if numbers}


def _final_rows(
    path: Path, screens: Mapping[str, Screen]
) -> tuple[dict[str, dict[tuple[int, int], TableRow]], dict[str, set[int]]]:
    """Return for each trial the last valid row of each (page, fixation) on the screen, and fixations left out."""
    last: dict[str, dict[tuple[int, int], TableRow]] = {}
    counts: dict[str, set[int]] = {_INVALID: set(), _ELSEWHERE: set(), _OFF: set()}
    for row in read_table(path, _COLUMNS):
        number, shown = row.int("FPOGID"), _shown(row, screens)
        row.seconds("FPOGD")
        if row.values["FPOGV"].strip() != "1":
            counts[_INVALID].add(number)
        elif shown is None:
            counts[_ELSEWHERE].add(number)
        else:
            last.setdefault(shown.trial, {})[shown.page, number] = row
    counts[_ELSEWHERE] -= {number for rows in last.values() for _, number in rows}
    for rows in last.values():
        off = [key for key, row in rows.items() if not all(0 <= row.float(name) <= 1 for name in _COLUMNS[:2])]
        for key in off:
            del rows[key]
        counts[_OFF] |= {number for _, number in off}
    counts[_INVALID] -= counts[_ELSEWHERE] | counts[_OFF] | {n for rows in last.values() for _, n in rows}
    return last, counts


def _shown(row: TableRow, screens: Mapping[str, Screen]) -> Screen | None:
    return find_screen(screens, *((row.values.get(name) or "").strip() for name in ("MEDIA_NAME", "USER")))


def _recording(
    path: Path,
    reader: str,
    trial: str,
    screens: Mapping[str, Screen],
    rows: Mapping[tuple[int, int], TableRow],
    screen: tuple[int, int],
) -> Recording:
    """Return a trial of all its pages. The rows are in time order, as the file is."""
    x, y, start, duration = (np.array([row.float(name) for row in rows.values()]) for name in _COLUMNS[:4])
    page = np.array([page for page, _ in rows], dtype=np.int64)
    fixations = Fixations(x * screen[0], y * screen[1], duration, start)
    return paged_recording(path, reader, trial, screens, screen, fixations, page)
