"""What one reader did on one screen: fixations, the boxes of the words, and both together as a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.files.delimited import TableRow

BOX_COLUMNS = ("text", "x1", "y1", "x2", "y2")


@dataclass(frozen=True, slots=True)
class Fixations:
    """The fixations of one trial in time order."""

    x: NDArray[np.float64]
    """[fixations] pixels from the left edge of the screen; NaN where the place was not kept."""
    y: NDArray[np.float64]
    """[fixations] pixels from the top edge; NaN where the place was not kept."""
    duration: NDArray[np.float64]
    """[fixations] seconds."""
    start: NDArray[np.float64]
    """[fixations] seconds on the recording's clock, or any number that orders them."""

    def __len__(self) -> int:
        """Return the number of fixations."""
        return len(self.duration)

    @property
    def located(self) -> bool:
        """Whether the places of the fixations are known."""
        return bool(np.isfinite(self.x).all() and np.isfinite(self.y).all())

    def select(self, keep: NDArray[np.bool_]) -> Fixations:
        """Return the fixations where `keep` [fixations] is true."""
        return Fixations(self.x[keep], self.y[keep], self.duration[keep], self.start[keep])


@dataclass(frozen=True, slots=True)
class WordBoxes:
    """Where the words stood on the screen, in reading order."""

    corners: NDArray[np.float64]
    """[words, 4] x1, y1, x2, y2 in pixels."""
    line: NDArray[np.int64]
    """[words] line of the screen, counted from 0 from the top."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One trial of one reader, or the average of readers, before its text is known."""

    path: Path
    reader: str
    trial: str
    words: tuple[str | None, ...]
    """The words of the screen in reading order; None where the files do not name one."""
    places: tuple[str, ...]
    """[words] `file row N` that names the word."""
    complete: bool
    """Whether `words` are all words of the screen, so that the whole text can be compared."""
    boxes: WordBoxes | None = None
    fixations: Fixations | None = None
    assigned: NDArray[np.int64] | None = None
    """[fixations] word of each fixation as the recording's own files have it, -1 for none."""
    averages: NDArray[np.float64] | None = None
    """[words, 3] number of fixations, first fixation duration (s) and total time (s), averaged over readers."""
    pages: int = 1
    """Screens of the trial. Boxes and fixations of page k are k screens lower, so that pages cannot be confused."""
    estimated: bool = False
    """Whether some durations are known by their sum only, and go-past times rest on equal parts of it."""
    screen: tuple[int, int] | None = None
    """Width and height of a page in pixels, where the recording has them."""
    measures: NDArray[np.float64] | None = None
    """[words, 5] fixations, ms, ms, ms and percent of one reader, where the files have measures and no fixations."""


def read_boxes(rows: Sequence[TableRow], screen: tuple[int, int]) -> WordBoxes:
    """Read the columns x1, y1, x2, y2 and, where there is one, `line`. Lines are found from the boxes without it.

    Raises
    ------
    InputError
        If a box is empty or leaves the `screen` (width, height).
    """
    corners = np.array([[row.float(name) for name in BOX_COLUMNS[1:]] for row in rows]).reshape(-1, 4)
    width, height = screen
    for row, (x1, y1, x2, y2) in zip(rows, corners.tolist(), strict=True):
        if x2 <= x1 or y2 <= y1:
            raise InputError(f"{row.place}: x1,y1,x2,y2: {x1:g},{y1:g},{x2:g},{y2:g}; accepted: x1 < x2 and y1 < y2")
        if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
            raise InputError(
                f"{row.place}: x1,y1,x2,y2: {x1:g},{y1:g},{x2:g},{y2:g} leaves the screen; "
                f"accepted: within {width}x{height} pixels"
            )
    if "line" in rows[0].values:
        line = np.array([row.int("line") for row in rows])
        return WordBoxes(corners, line - line.min())
    return WordBoxes(corners, _lines(corners))


def _lines(corners: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a line for each box: a new one where the middle of a box lies below the box before it."""
    middle = (corners[1:, 1] + corners[1:, 3]) / 2
    return np.concatenate([[0], np.cumsum(middle > corners[:-1, 3])]).astype(np.int64)
