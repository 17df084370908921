"""Fixations to words: nearest line, then nearest box on it; and the gates that a trial must pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.eyetracking.fixations import Fixations, WordBoxes

NO_WORD = -1


@dataclass(frozen=True, slots=True)
class Gates:
    """What a trial needs to be used."""

    min_fixations: int = 5
    """Fewest fixations on the screen."""
    min_assigned: float = 0.5
    """Smallest share of those fixations that lie on a word."""

    def refusal(self, word: NDArray[np.int64]) -> str | None:
        """Return why a trial whose fixations lie on `word` [fixations] (-1: on none) is dropped, None if it is not."""
        if len(word) < self.min_fixations:
            return f"{len(word)} fixations on the screen, fewer than {self.min_fixations}"
        share = float((word != NO_WORD).mean()) if len(word) else 0.0
        if share < self.min_assigned:
            return f"{share:.0%} of its fixations lie on a word, less than {self.min_assigned:.0%}"
        return None


def on_screen(fixations: Fixations, screen: tuple[int, int]) -> NDArray[np.bool_]:
    """Return [fixations] whether each lies on the screen (width, height in pixels); true where no place was kept."""
    width, height = screen
    off = (fixations.x < 0) | (fixations.x > width) | (fixations.y < 0) | (fixations.y > height)
    return ~off


def assign_nearest(
    fixations: Fixations, boxes: WordBoxes, max_distance: float, offset: float = 0.0
) -> NDArray[np.int64]:
    """Return [fixations] the word of each fixation, -1 for one farther than `max_distance` pixels from its box.

    The line is the one whose band (top of its highest to bottom of its lowest box) is nearest, the word the one on
    that line whose box is nearest; between equally near ones the first. This is `attach` of Carr et al. (2022),
    "Algorithms for the automated correction of vertical drift in eye-tracking data", Behavior Research Methods 54,
    with bands for lines. `offset` is added to y before.
    """
    y = fixations.y + offset
    x1, y1, x2, y2 = boxes.corners.T
    names = np.unique(boxes.line)
    tops = np.array([y1[boxes.line == name].min() for name in names])
    bottoms = np.array([y2[boxes.line == name].max() for name in names])
    line = names[_outside(y[:, None], tops, bottoms).argmin(axis=1)]
    sideways = _outside(fixations.x[:, None], x1, x2)
    sideways[line[:, None] != boxes.line] = np.inf
    word = sideways.argmin(axis=1)
    across = sideways[np.arange(len(word)), word]
    distance = np.hypot(across, _outside(y, y1[word], y2[word]))
    return np.where(distance <= max_distance, word, NO_WORD)


def vertical_offset(fixations: Fixations, boxes: WordBoxes) -> float:
    """Return the pixels to add to y that bring the fixations nearest to the middles of the lines.

    Whole pixels within half the distance of two lines are tried (a larger shift could not be told from the wrong
    line); the smallest mean distance to the nearest line wins, between equal ones the smallest shift.
    """
    y1, y2 = boxes.corners[:, 1], boxes.corners[:, 3]
    names = np.unique(boxes.line)
    middles = np.sort([((y1 + y2) / 2)[boxes.line == name].mean() for name in names])
    pitch = float(np.median(np.diff(middles))) if len(middles) > 1 else 4.0 * float(np.median(y2 - y1))
    reach = int(pitch / 2)
    shifts = sorted(range(-reach, reach + 1), key=abs)
    costs = [np.abs((fixations.y + shift)[:, None] - middles).min(axis=1).mean() for shift in shifts]
    return float(shifts[int(np.argmin(costs))])


def assign_corrected(fixations: Fixations, boxes: WordBoxes, max_distance: float) -> NDArray[np.int64]:
    """Return [fixations] what `assign_nearest` returns once the trial's constant vertical offset is taken out."""
    if not len(fixations):
        return np.empty(0, dtype=np.int64)
    return assign_nearest(fixations, boxes, max_distance, vertical_offset(fixations, boxes))


def _outside(value: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each value lies outside of its interval, 0 inside."""
    return np.maximum(np.maximum(low - value, value - high), 0.0)
