"""Fixations to words: nearest line, then nearest box on it; and the limits that a trial must keep.

             +-----+  +-----+
line 0       |  0  |  |  1  |      band of line 0: from its highest top to its lowest bottom
             +-----+  +-----+
                * (a)              (a) is nearer to the band of line 0, so it lies on word 0 ...
                         * (b)     (b) is nearer to that of line 1, so it lies on word 3,
             +-----+  +-----+      if its box is at most `max_distance` pixels away
line 1       |  2  |  |  3  |
             +-----+  +-----+
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.eyetracking.recording import NO_WORD, Fixations, WordBoxes


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """What a trial needs to be used."""

    min_fixations: int = 5
    """Fewest fixations on the screen."""
    min_assigned: float = 0.5
    """Smallest share of those fixations that lie on a word."""

    def reason_to_drop(self, word: NDArray[np.int64]) -> str | None:
        """Return why a trial whose fixations lie on `word` [fixations] is dropped, None if it is not.

        Examples
        --------
        >>> TrialLimits(min_fixations=3).reason_to_drop(np.array([0, NO_WORD, NO_WORD]))
        '33% of its fixations lie on a word, less than 50%'
        """
        if len(word) < self.min_fixations:
            return f"{len(word)} fixations on the screen, fewer than {self.min_fixations}"
        share = float((word != NO_WORD).mean()) if len(word) else 0.0
        if share < self.min_assigned:
            return f"{share:.0%} of its fixations lie on a word, less than {self.min_assigned:.0%}"
        return None


def assign_nearest(
    fixations: Fixations, boxes: WordBoxes, max_distance: float, offset: float = 0.0
) -> NDArray[np.int64]:
    """Return [fixations] the word of each fixation, `NO_WORD` for one farther than `max_distance` from its box.

    The line is the one whose band (top of its highest to bottom of its lowest box) is nearest, the word the one on
    that line whose box is nearest; between equally near ones the first. This is `attach` of Carr et al. (2022),
    "Algorithms for the automated correction of vertical drift in eye-tracking data", Behavior Research Methods 54,
    with bands for lines.

    Parameters
    ----------
    max_distance
        Pixels.
    offset
        Pixels that are added to y before.

    Examples
    --------
    >>> corners = np.array([[100.0, 100, 180, 120], [200, 100, 280, 120]])
    >>> boxes = WordBoxes(("One", "two"), corners, np.array([0, 0]))
    >>> at = Fixations(np.array([150.0, 210, 210]), np.array([110.0, 130, 900]), np.full(3, 0.2), np.arange(3.0))
    >>> assign_nearest(at, boxes, max_distance=50.0).tolist()
    [0, 1, -1]
    """
    word, distance = _find_nearest(fixations.moved(0.0, offset), boxes)
    return np.where(distance <= max_distance, word, NO_WORD)


def _find_nearest(fixations: Fixations, boxes: WordBoxes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return [fixations] the word that `assign_nearest` finds, and how many pixels its box is away."""
    y = fixations.y
    x1, y1, x2, y2 = boxes.corners.T
    lines = np.unique(boxes.line)
    tops = np.array([y1[boxes.line == line].min() for line in lines])
    bottoms = np.array([y2[boxes.line == line].max() for line in lines])
    nearest_line = lines[_distance_outside(y[:, None], tops, bottoms).argmin(axis=1)]
    sideways = _distance_outside(fixations.x[:, None], x1, x2)
    sideways[nearest_line[:, None] != boxes.line] = np.inf  # [fixations, words]: words of other lines are no choice
    word = sideways.argmin(axis=1)
    across = sideways[np.arange(len(word)), word]
    return word, np.hypot(across, _distance_outside(y, y1[word], y2[word]))


def find_vertical_offset(fixations: Fixations, boxes: WordBoxes) -> float:
    """Return the pixels to add to y that bring the fixations nearest to the middles of the lines.

    Whole pixels within half the distance of two lines are tried (a larger shift could not be told from the wrong
    line); the smallest mean distance to the nearest line wins, between equal ones the smallest shift.
    """
    y1, y2 = boxes.corners[:, 1], boxes.corners[:, 3]
    lines = np.unique(boxes.line)
    middles = np.array([((y1 + y2) / 2)[boxes.line == line].mean() for line in lines])
    order = np.argsort(middles, kind="stable")
    middles = middles[order]
    distances = np.diff(middles)
    if boxes.page is not None:  # from a page to the next is no distance of lines
        page = np.array([boxes.page[boxes.line == line][0] for line in lines])[order]
        distances = distances[np.diff(page) == 0]
    # A single line has no distance to another; four times its height stands for it.
    line_distance = float(np.median(distances)) if len(distances) else 4.0 * float(np.median(y2 - y1))
    largest = int(line_distance / 2)
    # Sorted by size, so that `argmin` finds the smallest of equally good shifts.
    shifts = sorted(range(-largest, largest + 1), key=abs)
    costs = [np.abs((fixations.y + shift)[:, None] - middles).min(axis=1).mean() for shift in shifts]
    return float(shifts[int(np.argmin(costs))])


def assign_corrected(fixations: Fixations, boxes: WordBoxes, max_distance: float) -> NDArray[np.int64]:
    """Return [fixations] what `assign_nearest` returns once the trial's constant vertical offset is taken out."""
    if not len(fixations):
        return np.empty(0, dtype=np.int64)
    return assign_nearest(fixations, boxes, max_distance, find_vertical_offset(fixations, boxes))


def assign_after_cross(
    fixations: Fixations, boxes: WordBoxes, max_distance: float, cross_offset: NDArray[np.float64]
) -> tuple[NDArray[np.int64], bool]:
    """Return [fixations] what `assign_nearest` returns without the offset from a cross, and whether it was taken out.

    The reader looked at a cross in the middle of the screen before the trial. What the fixations on it lay off is taken
    from all fixations of the trial, unless that puts them farther from the words on average. So calibrates eyetrackpy,
    the package of the reference, with a single fixation and in both directions.

    Parameters
    ----------
    cross_offset
        [fixations, 2] pixels to the right and down that the last fixation on a cross lay off; NaN without one.

    Examples
    --------
    >>> corners = np.array([[100.0, 100, 180, 120], [100, 150, 180, 170]])
    >>> boxes = WordBoxes(("One", "two"), corners, np.array([0, 1]))
    >>> at = Fixations(np.array([150.0]), np.array([150.0]), np.full(1, 0.2), np.arange(1.0))
    >>> assign_after_cross(at, boxes, 50.0, np.array([[0.0, 40.0]]))  # 150 - 40 is on no line, so it is nearer as it is
    (array([1]), False)
    """
    plain, plain_distance = _find_nearest(fixations, boxes)
    x, y = np.nan_to_num(cross_offset).T
    moved, moved_distance = _find_nearest(fixations.moved(-x, -y), boxes)
    taken_out = len(fixations) > 0 and bool(moved_distance.mean() < plain_distance.mean())
    word, distance = (moved, moved_distance) if taken_out else (plain, plain_distance)
    return np.where(distance <= max_distance, word, NO_WORD), taken_out


ASSIGNMENT_METHODS: Mapping[str, Callable[[Fixations, WordBoxes, float], NDArray[np.int64]]] = {
    "nearest": assign_nearest,
    "corrected": assign_corrected,
}
"""By the name that an import gives them; `cross` needs more than these."""


def _distance_outside(
    value: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far each value lies outside of its interval, 0 inside."""
    return np.maximum(np.maximum(low - value, value - high), 0.0)
