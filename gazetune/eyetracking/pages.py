"""The pages that a trial was shown on, and one reader's fixations on all of them as one recording.

`words/TRIAL.csv` has the words of a screen in reading order: text;x1;y1;x2;y2 and perhaps line. `words/TRIAL_p1.csv`,
`words/TRIAL_p2.csv` have those of a text on several pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.fixations import BOX_COLUMNS, Fixations, Recording, WordBoxes, read_boxes
from gazetune.files.delimited import TableRow, read_table

_PAGE = re.compile(r"(.+)_p([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Screen:
    """The words of one page of a trial."""

    trial: str
    page: int
    """Counted from 0."""
    rows: tuple[TableRow, ...]


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


def find_screen(screens: Mapping[str, Screen], *names: str) -> Screen | None:
    """Return the screen that the first fitting name means: its own, or that of its image with or without a folder."""
    spelt = (each for name in names for each in (name, Path(name).name, Path(name).stem))
    return next((screens[each] for each in spelt if each in screens), None)


def paged_recording(
    path: Path,
    reader: str,
    trial: str,
    screens: Mapping[str, Screen],
    screen: tuple[int, int],
    fixations: Fixations,
    page: NDArray[np.int64],
) -> Recording:
    """Return the recording of a trial, with page k and the fixations on it put k screens lower.

    Parameters
    ----------
    screens
        All screens by name; those of the trial are taken.
    screen
        Width and height in pixels.
    fixations
        In time order, in pixels from the upper left corner of their own page.
    page
        [fixations] page of each, counted from 0.

    Raises
    ------
    InputError
        If a box of the trial is empty or leaves the screen.
    """
    height = screen[1]
    pages = sorted((each for each in screens.values() if each.trial == trial), key=lambda each: each.page)
    boxes = [read_boxes(each.rows, screen) for each in pages]
    first = np.cumsum([0, *(each.line.max() + 1 for each in boxes)])
    line = np.concatenate([each.line + before for each, before in zip(boxes, first[:-1], strict=True)])
    lower = np.array([0.0, height, 0.0, height])
    corners = np.concatenate([each.corners + number * lower for number, each in enumerate(boxes)])
    shown = [row for each in pages for row in each.rows]
    moved = Fixations(fixations.x, fixations.y + page * float(height), fixations.duration, fixations.start)
    return Recording(
        path,
        reader,
        trial,
        tuple(row.word("text") for row in shown),
        tuple(row.place for row in shown),
        True,
        WordBoxes(corners, line),
        moved,
        pages=len(pages),
        screen=screen,
    )
