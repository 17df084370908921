"""The pages that a text was shown on, and one reader's fixations on all of them as one recording.

`words/TRIAL.csv` has the words of a page in reading order: text;x1;y1;x2;y2 and perhaps line. `words/TRIAL_p1.csv`,
`words/TRIAL_p2.csv` have those of a text on several pages. In a recording these pages stand below each other, so that
each word and fixation has a position of its own:

    page 0   y from 0 to height
    page 1   y from height to 2 * height
    ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.recording import (
    BOX_COLUMNS,
    Fixations,
    Recording,
    ScreenSize,
    WordBoxes,
    read_word_boxes,
)
from gazetune.files.delimited import TableRow, read_table

_PAGE_NAME = re.compile(r"(.+)_p([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class StimulusPage:
    """The words of one page of a trial."""

    trial: str
    number: int
    """Counted from 0."""
    rows: tuple[TableRow, ...]
    """One row a word. They become boxes when a recording says how large the screen was."""


def read_stimulus_pages(folder: Path) -> dict[str, StimulusPage]:
    """Return the word boxes of each page by its name: `TRIAL.csv` or `TRIAL_pN.csv` in the folder.

    Raises
    ------
    InputError
        If a column or a page is missing, or two files differ by the case of their names alone.
    """
    pages: dict[str, StimulusPage] = {}
    files = [path for path in folder.iterdir() if path.suffix.lower() == ".csv" and not path.name.startswith(".")]
    for path in sorted(files):
        found = _PAGE_NAME.fullmatch(path.stem)
        trial, number = (found[1], int(found[2]) - 1) if found else (path.stem, 0)
        if path.stem in pages:
            raise InputError(f"{path}: has the boxes of {path.stem} for the second time; accepted: one file a page")
        pages[path.stem] = StimulusPage(
            trial, number, tuple(read_table(path, BOX_COLUMNS, any_case=(*BOX_COLUMNS, "line")))
        )
    for name, page in pages.items():
        if page.number and f"{page.trial}_p{page.number}" not in pages:
            raise InputError(f"{folder / name}.csv: the page before it, {page.trial}_p{page.number}.csv, is missing")
    return pages


def find_stimulus_page(pages: Mapping[str, StimulusPage], *names: str) -> StimulusPage | None:
    """Return the page that the first fitting name means: its own, or that of its image with or without a folder.

    The case of a name matters only where two pages differ by it alone.
    """
    spellings = [each for name in names for each in (name, PureWindowsPath(name).name, PureWindowsPath(name).stem)]
    found = next((pages[each] for each in spellings if each in pages), None)
    if found is not None:
        return found
    wanted = {each.casefold() for each in spellings if each}
    fitting = [page for name, page in pages.items() if name.casefold() in wanted]
    return fitting[0] if len(fitting) == 1 else None


def join_pages(
    path: Path,
    reader: str,
    trial: str,
    pages: Mapping[str, StimulusPage],
    screen: ScreenSize,
    fixations: Fixations,
    page_of_fixation: NDArray[np.int64],
    reading: int = 0,
    cross_offset: NDArray[np.float64] | None = None,
    notes: Sequence[str] = (),
) -> Recording:
    """Return the recording of a trial, with page k and the fixations on it put k screens lower.

    Parameters
    ----------
    pages
        All pages by name; those of the trial are taken.
    screen
        The size of a page in pixels.
    fixations
        In the order of time, in pixels from the upper left corner of their own page.
    page_of_fixation
        [fixations] page of each, counted from 0.
    reading, cross_offset, notes
        As `Recording` has them.

    Raises
    ------
    InputError
        If a word is empty, or a box of the trial is empty or leaves the screen.
    """
    height = screen[1]
    shown = sorted((each for each in pages.values() if each.trial == trial), key=lambda each: each.number)
    boxes = _stack_boxes([read_word_boxes(each.rows, screen) for each in shown], height)
    lower = fixations.y + page_of_fixation * float(height)
    return Recording(
        path,
        reader,
        trial,
        boxes.words,
        tuple(row.origin for each in shown for row in each.rows),
        True,
        boxes,
        Fixations(fixations.x, lower, fixations.duration, fixations.start),
        page_count=len(shown),
        screen=screen,
        page_of_fixation=page_of_fixation,
        cross_offset=cross_offset,
        reading=reading,
        notes=tuple(notes),
    )


def _stack_boxes(pages: list[WordBoxes], height: int) -> WordBoxes:
    """Return the boxes of all pages, each page `height` pixels below the one before, lines counted through."""
    first = np.cumsum([0, *(each.line.max() + 1 for each in pages)])
    line = np.concatenate([each.line + before for each, before in zip(pages, first[:-1], strict=True)])
    down = np.array([0.0, height, 0.0, height])
    corners = np.concatenate([each.corners + number * down for number, each in enumerate(pages)])
    return WordBoxes(tuple(word for each in pages for word in each.words), corners, line)
