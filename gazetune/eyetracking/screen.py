"""Fixations and word boxes of one screen, from CSV files separated by `;` or `,`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gazetune.errors import InputError
from gazetune.files.delimited import TableRow, read_table

FARTHEST = 20_000.0
"""Pixels from the upper left corner that are still drawn: more than any screen has."""


@dataclass(frozen=True, slots=True)
class Fixation:
    """Where the eyes rested: pixels from the upper left corner, and seconds."""

    x: float
    y: float
    duration: float


@dataclass(frozen=True, slots=True)
class WordBox:
    """A word on the screen: left, top, right and bottom in pixels."""

    text: str
    x1: float
    y1: float
    x2: float
    y2: float


def read_fixations(path: Path) -> list[Fixation]:
    """Read fixations in the order they were made: columns x, y (pixels), duration (seconds).

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, has no rows, or a row has no number, one far from any
        screen, or a duration that is negative or not in seconds.
    """
    rows = read_table(path, ("x", "y", "duration"))
    return [Fixation(_pixels(row, "x"), _pixels(row, "y"), row.seconds("duration")) for row in rows]


def read_boxes(path: Path) -> list[WordBox]:
    """Read word boxes: columns text, x1, y1, x2, y2 (pixels).

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, has no rows, or a row has no word, no number, a place that
        is on no screen, or no area.
    """
    boxes = []
    for row in read_table(path, ("text", "x1", "y1", "x2", "y2")):
        box = WordBox(row.word("text"), *(_pixels(row, name, 0.0) for name in ("x1", "y1", "x2", "y2")))
        if box.x2 <= box.x1 or box.y2 <= box.y1:
            corners = ",".join(f"{value:g}" for value in (box.x1, box.y1, box.x2, box.y2))
            raise InputError(f"{row.place}: x1,y1,x2,y2: {corners}; accepted: x1 < x2 and y1 < y2")
        boxes.append(box)
    return boxes


def _pixels(row: TableRow, key: str, least: float = -FARTHEST) -> float:
    """Return a place on the screen; what lies far outside would shrink all the rest to a dot."""
    value = row.float(key)
    if not least <= value <= FARTHEST:
        raise InputError(f"{row.place}: {key}: '{row.values[key]}'; accepted: pixels, {least:g} to {FARTHEST:g}")
    return value
