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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gazetune.errors import InputError
from gazetune.gaze.eyetracking.fixations import BOX_COLUMNS, Fixations, Recording, WordBoxes, read_boxes
from gazetune.gaze.eyetracking.tables import TableRow, header_of, read_table

_COLUMNS = ("FPOGX", "FPOGY", "FPOGS", "FPOGD", "FPOGID", "FPOGV")
_ENDINGS = ("_fixations", "_all_gaze")
_INVALID, _ELSEWHERE, _OFF = "marked as not valid (FPOGV)", "on a screen without word boxes", "off the screen"


_PAGE = re.compile(r"(.+)_p([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Screen:
    """The words of one page of a trial."""

    trial: str
    page: int
    """Counted from 0."""
    rows: tuple[TableRow, ...]


def is_export(path: Path) -> bool:
    """Return whether the file is named and built like an export of fixations or of all gaze."""
    return path.stem.endswith(_ENDINGS) and "FPOGX" in header_of(path)


def read_screens(folder: Path) -> dict[str, Screen]:
    """Return the word boxes of each screen by its name: `TRIAL.csv` or `TRIAL_pN.csv` in the folder.

    Raises
    ------
    InputError
        If a column or a page is missing.
    """
    screens = {}
    for path in sorted(folder.glob("*.csv")):
        found = _PAGE.fullmatch(path.stem)
        trial, page = (found[1], int(found[2]) - 1) if found else (path.stem, 0)
        screens[path.stem] = Screen(trial, page, tuple(read_table(path, BOX_COLUMNS)))
    for name, screen in screens.items():
        if screen.page and f"{screen.trial}_p{screen.page}" not in screens:
            raise InputError(f"{folder / name}.csv: the page before it, {screen.trial}_p{screen.page}.csv, is missing")
    return screens


def without_twins(exports: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the exports to read, and those of all gaze whose recording has a file of fixations too."""
    twins = [path for path in exports if path.stem.endswith("_all_gaze")
             and path.with_name(path.name.replace("_all_gaze", "_fixations")) in exports]  # fmt: skip
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
    if not any(name.startswith("TIME(") for name in header_of(path)):
        raise InputError(f"{path} row 1: column 'TIME(...)' is missing; it has {', '.join(header_of(path)[:8])}")
    last, counts = _final_rows(path, screens)
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
        row.float("FPOGD", 0.0)
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
    media, user = ((row.values.get(name) or "").strip() for name in ("MEDIA_NAME", "USER"))
    return next((screens[name] for name in (media, Path(media).stem, user) if name in screens), None)


def _recording(
    path: Path, reader: str, trial: str, screens: Mapping[str, Screen], rows: Mapping[tuple[int, int], TableRow],
    screen: tuple[int, int],
) -> Recording:  # fmt: skip
    """Return a trial with page k put k screens lower. The rows are in time order, as the file is."""
    width, height = screen
    pages = sorted((each for each in screens.values() if each.trial == trial), key=lambda each: each.page)
    boxes = [read_boxes(each.rows, screen) for each in pages]
    first = np.cumsum([0, *(each.line.max() + 1 for each in boxes)])
    line = np.concatenate([each.line + before for each, before in zip(boxes, first[:-1], strict=True)])
    lower = np.array([0.0, height, 0.0, height])
    corners = np.concatenate([each.corners + page * lower for page, each in enumerate(boxes)])
    x, y, start, duration = (np.array([row.float(name) for row in rows.values()]) for name in _COLUMNS[:4])
    page_of = np.array([page for page, _ in rows], dtype=np.float64)
    shown = [row for each in pages for row in each.rows]
    return Recording(
        path, reader, trial, tuple(row.word("text") for row in shown), tuple(row.place for row in shown), True,
        WordBoxes(corners, line), Fixations(x * width, (y + page_of) * height, duration, start), pages=len(pages),
    )  # fmt: skip
