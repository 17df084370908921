"""What one reader did on one screen: fixations, the boxes of the words, and both together as a recording.

    (0, 0) +-------------------------------> x, pixels
           |   +-----+  +-----------+
           |   | One |  | two (1)   |        a box a word: x1, y1 (upper left), x2, y2 (lower right)
           |   +-----+  +-----------+        (1), (2): fixations, in the order of time
           |   +--(2)--+
           |   | three |
           v   +-------+
           y

Every format of recordings becomes these arrays, whatever its own units were: pixels from the upper left corner and
seconds. `files.delimited` reads the rows; `read_fixations` and `read_word_boxes` make the arrays of them, for an import
and for a picture alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.files.delimited import TableRow

ScreenSize = tuple[int, int]
"""Width and height of a screen in pixels."""
DEFAULT_SCREEN: ScreenSize = (1280, 1024)
"""The screen where neither the user nor the recording says its size: that of OASST-ETC."""
FIXATION_COLUMNS = ("x", "y", "duration")
"""Columns of a CSV file of fixations: pixels, pixels, seconds."""
BOX_COLUMNS = ("text", "x1", "y1", "x2", "y2")
"""Columns of a CSV file of word boxes: the word, and pixels."""
PIXEL_TOLERANCE = 1
"""Pixels that two sizes of one screen may differ by: some trackers write the last pixel, others their number."""
NO_WORD = -1
"""The word of a fixation that lies on none."""


@dataclass(frozen=True, slots=True)
class Fixations:
    """The fixations of one trial in the order of time."""

    x: NDArray[np.float64]
    """[fixations] pixels from the left edge of the screen; NaN where the position was not kept."""
    y: NDArray[np.float64]
    """[fixations] pixels from the top edge; NaN where the position was not kept."""
    duration: NDArray[np.float64]
    """[fixations] seconds."""
    start: NDArray[np.float64]
    """[fixations] seconds on the recording's clock, or any number that orders them."""

    def __len__(self) -> int:
        """Return the number of fixations."""
        return len(self.duration)

    @property
    def have_positions(self) -> bool:
        """Whether the positions of all fixations are known."""
        return bool(np.isfinite(self.x).all() and np.isfinite(self.y).all())

    def moved(self, x: float | NDArray[np.float64], y: float | NDArray[np.float64]) -> Fixations:
        """Return the fixations `x` pixels further right and `y` pixels further down."""
        return Fixations(self.x + x, self.y + y, self.duration, self.start)

    def count_overlaps(self) -> int:
        """Return how many begin more than 2 ms before the one before them ends; starts are in seconds."""
        apart = np.diff(self.start)
        # A clock that begins anew goes back; that is no overlap.
        return int(((apart >= 0) & (apart < self.duration[:-1] - 0.002)).sum())

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Fixations:
        """Return the fixations that a mask [fixations] keeps, or those at the given indices in their order."""
        return Fixations(self.x[chosen], self.y[chosen], self.duration[chosen], self.start[chosen])

    def are_on_screen(self, screen: ScreenSize) -> NDArray[np.bool_]:
        """Return [fixations] whether each lies on the screen; true where the position was not kept."""
        width, height = screen
        off = (self.x < 0) | (self.x > width) | (self.y < 0) | (self.y > height)
        return ~off


@dataclass(frozen=True, slots=True)
class WordBoxes:
    """The words of a screen and where they stood, in reading order."""

    words: tuple[str, ...]
    corners: NDArray[np.float64]
    """[words, 4] x1, y1, x2, y2 in pixels from the upper left corner."""
    line: NDArray[np.int64]
    """[words] line of the screen, counted from 0 from the top."""
    page: NDArray[np.int64] | None = None
    """[words] page that each stands on, where pages were put apart; None for a single one."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One trial of one reader, or the average of readers, before its text is known.

    It has `fixations` (with `boxes`, or with the `assigned` words of the files), or `averages`, or `measures`.
    """

    path: Path
    reader: str
    trial: str
    words: tuple[str | None, ...]
    """The words of the screen in reading order; None where the files do not name one."""
    origins: tuple[str, ...]
    """[words] `file row N` that names the word."""
    complete: bool
    """Whether `words` are all words of the screen, so that the whole text can be compared."""
    boxes: WordBoxes | None = None
    fixations: Fixations | None = None
    assigned: NDArray[np.int64] | None = None
    """[fixations] word of each fixation as the recording's own files have it, `NO_WORD` for none."""
    averages: NDArray[np.float64] | None = None
    """[words, 3] number of fixations, first fixation duration (s) and total time (s), averaged over readers."""
    page_count: int = 1
    """Pages of the trial. Boxes and fixations of page k are k screens lower, so that pages cannot be confused."""
    estimated: bool = False
    """Whether some durations are known by their sum only, and go-past times rest on equal parts of it."""
    screen: ScreenSize | None = None
    """The size of a page, where the recording has it."""
    measures: NDArray[np.float64] | None = None
    """[words, 5] fixations, ms, ms, ms and percent of one reader, where the files have measures and no fixations."""
    page_of_fixation: NDArray[np.int64] | None = None
    """[fixations] page that each was made on, counted from 0, where there are several."""
    cross_offset: NDArray[np.float64] | None = None
    """[fixations, 2] pixels that the last fixation on a cross before it lay off the cross; NaN without one."""
    reading: int = 0
    """Counts the readings of one trial by one reader in one file, from 0."""
    format: str = ""
    """The registered format that read it."""
    left_out: tuple[tuple[str, int], ...] = ()
    """Reason and number of fixations of the files that are not among `fixations`."""
    notes: tuple[str, ...] = ()
    """What the report says of it."""

    @property
    def fixation_count(self) -> int:
        """Return the number of fixations, 0 for averages over readers."""
        if self.fixations is not None:
            return len(self.fixations)
        return 0 if self.measures is None else int(self.measures[:, 0].sum())

    @property
    def label(self) -> str:
        """`file (reader)`, as the report of an import has it."""
        return f"{self.path} ({self.reader})"


def read_fixations(rows: Sequence[TableRow], order_column: str | None = None) -> Fixations:
    """Read the columns x, y (pixels) and duration (seconds) of rows in the order of time.

    Parameters
    ----------
    order_column
        The column of numbers that order the fixations; without one they are counted.

    Raises
    ------
    InputError
        If a value is no number, or a duration is negative or not in seconds.
    """
    x, y = (np.array([row.get_float(name) for row in rows]) for name in ("x", "y"))
    order = [row.get_float(order_column) if order_column else float(index) for index, row in enumerate(rows)]
    return Fixations(x, y, np.array([row.get_seconds("duration") for row in rows]), np.array(order))


def read_word_boxes(rows: Sequence[TableRow], screen: ScreenSize | None = None) -> WordBoxes:
    """Read the columns text, x1, y1, x2, y2 (pixels) and perhaps `line` of rows in reading order.

    Parameters
    ----------
    screen
        The screen that the boxes must lie on. None: boxes that are only drawn, which may lie anywhere; a column `line`
        is not looked at then.

    Raises
    ------
    InputError
        If a word is empty, a value is no number, or a box has no area or leaves the screen.
    """
    words = tuple(row.get_word("text") for row in rows)
    corners = np.array([_read_corners(row, screen) for row in rows])
    if screen is not None and "line" in rows[0].values:
        line = np.array([row.get_int("line") for row in rows])
        return WordBoxes(words, corners, line - line.min())
    return WordBoxes(words, corners, _find_lines(corners))


def _read_corners(row: TableRow, screen: ScreenSize | None) -> tuple[float, ...]:
    x1, y1, x2, y2 = corners = tuple(row.get_float(name) for name in BOX_COLUMNS[1:])
    shown = f"{row.origin}: x1,y1,x2,y2: {x1:g},{y1:g},{x2:g},{y2:g}"
    if x2 <= x1 or y2 <= y1:
        raise InputError(f"{shown}; accepted: x1 < x2 and y1 < y2")
    if screen is not None and (min(x1, y1) < 0 or max(x2 - screen[0], y2 - screen[1]) > PIXEL_TOLERANCE):
        raise InputError(f"{shown} leaves the screen; accepted: within {screen[0]}x{screen[1]} pixels")
    return corners


def _find_lines(corners: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return [words] a line for each box: a new one where the middle of a box lies below the box before it."""
    middle = (corners[1:, 1] + corners[1:, 3]) / 2
    return np.concatenate([[0], np.cumsum(middle > corners[:-1, 3])]).astype(np.int64)
