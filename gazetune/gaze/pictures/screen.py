"""Fixations and word boxes of one screen, from CSV files separated by `;` or `,`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gazetune.errors import InputError
from gazetune.gaze.eyetracking.tables import read_table


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
        If the file cannot be read, lacks a column, has no rows, or a row has no finite number or a negative duration.
    """
    rows = read_table(path, ("x", "y", "duration"))
    return [Fixation(row.float("x"), row.float("y"), row.float("duration", least=0.0)) for row in rows]


def read_boxes(path: Path) -> list[WordBox]:
    """Read word boxes: columns text, x1, y1, x2, y2 (pixels).

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, has no rows, or a row has no word, no finite number or no area.
    """
    boxes = []
    for row in read_table(path, ("text", "x1", "y1", "x2", "y2")):
        box = WordBox(row.word("text"), *(row.float(name) for name in ("x1", "y1", "x2", "y2")))
        if box.x2 <= box.x1 or box.y2 <= box.y1:
            corners = ",".join(f"{value:g}" for value in (box.x1, box.y1, box.x2, box.y2))
            raise InputError(f"{row.place}: x1,y1,x2,y2: {corners}; accepted: x1 < x2 and y1 < y2")
        boxes.append(box)
    return boxes
