"""Fixations to words under a constant drift: share on the right word, by method, in made-up readings of known truth.

    python tests/bench/drift.py

Each reader looks at a cross in the middle of the screen and then reads a page of text. What the tracker says lies off
by the drift and scatters; words are skipped and returned to. `reference` is the rule of eyetrackpy's class for one
trial: the nearest box, but the line before as long as the eye moves right and stays within 110 pixels of that line, and
the first fixation on no word. Its calibration by the cross is taken where it brings the fixations nearer to the words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.eyetracking.assign_words import assign_after_cross, assign_corrected, assign_nearest
from gazetune.eyetracking.recording import DEFAULT_SCREEN, Fixations, WordBoxes

LINE_DISTANCE = 72.0
"""Pixels between the lines of a page of `gaze stimuli`: three font sizes."""
DRIFTS = ((0.0, 0.0), (0.0, 20.0), (0.0, 40.0), (0.0, -40.0), (40.0, 0.0), (40.0, 40.0), (0.0, 60.0))
"""Pixels to the right and down."""
METHODS = ("reference", "reference, cross", "nearest", "cross", "corrected")


@dataclass(frozen=True)
class Reading:
    """One reader on one page."""

    fixations: Fixations
    boxes: WordBoxes
    truth: NDArray[np.int64]
    """[fixations] the word that the reader looked at."""
    cross: NDArray[np.float64]
    """[2] pixels that the fixation on the cross lay off it."""


def simulate_reading(rng: np.random.Generator, drift: tuple[float, float], scatter: float = 8.0) -> Reading:
    """Return a reading of a page of nine lines of words, with skips and regressions.

    Parameters
    ----------
    drift
        Pixels to the right and down that are added to every fixation.
    scatter
        Standard deviation in pixels of a fixation about its word, and of the one on the cross.
    """
    corners, lines = [], []
    for line in range(9):
        x, y = 130.0, 140.0 + LINE_DISTANCE * line
        while True:
            width = 14.4 * int(rng.integers(2, 10))
            if x + width > DEFAULT_SCREEN[0] - 130:
                break
            corners.append((x, y, x + width, y + 28.0))
            lines.append(line)
            x += width + 21.6
    boxes = WordBoxes(("word",) * len(lines), np.array(corners), np.array(lines))
    truth, word = [], 0
    while word < len(lines):
        truth.append(word)
        word = max(word + int(rng.choice([-3, -1, 1, 1, 1, 1, 1, 2, 2])), 0)
    at = boxes.corners[truth]
    middle = np.stack([at[:, ::2].mean(axis=1), at[:, 1::2].mean(axis=1)], axis=1)
    x, y = (middle + rng.normal(0.0, scatter, middle.shape) + drift).T
    duration = rng.uniform(0.1, 0.4, len(truth))
    return Reading(
        Fixations(x, y, duration, np.cumsum(duration)),
        boxes,
        np.array(truth),
        np.array(drift) + rng.normal(0.0, scatter, 2),
    )


def assign_by_reference(fixations: Fixations, boxes: WordBoxes, cross: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """Return [fixations] the words by the reference's rule, calibrated by the cross where that is nearer."""
    plain, plain_distance = _follow_lines(fixations, boxes)
    if cross is None:
        return plain
    moved, moved_distance = _follow_lines(fixations.moved(-cross[0], -cross[1]), boxes)
    return moved if moved_distance < plain_distance else plain


def _follow_lines(fixations: Fixations, boxes: WordBoxes) -> tuple[NDArray[np.int64], float]:
    words, distances = [-1], []
    line, x_before = int(boxes.line.min()), 0.0
    middles = (boxes.corners[:, 1] + boxes.corners[:, 3]) / 2
    for x, y in zip(fixations.x[1:].tolist(), fixations.y[1:].tolist(), strict=True):
        distance = _distance_to_boxes(x, y, boxes)
        word = int(distance.argmin())
        middle = float(middles[boxes.line == line].mean())
        if boxes.line[word] != line and x > x_before and abs(y - middle) < 110:
            word = int(_distance_to_boxes(x, middle, boxes).argmin())
        words.append(word)
        distances.append(float(distance[word]))
        line, x_before = int(boxes.line[word]), x
    return np.array(words), float(np.mean(distances))


def _distance_to_boxes(x: float, y: float, boxes: WordBoxes) -> NDArray[np.float64]:
    x1, y1, x2, y2 = boxes.corners.T
    return np.hypot(np.maximum(np.maximum(x1 - x, x - x2), 0), np.maximum(np.maximum(y1 - y, y - y2), 0))


def measure_accuracy(drift: tuple[float, float], readings: int = 40, seed: int = 0) -> dict[str, float]:
    """Return the share of fixations on the right word by method, the first fixation of each reading left out."""
    rng = np.random.default_rng(seed)
    right: dict[str, list[NDArray[np.bool_]]] = {method: [] for method in METHODS}
    for _ in range(readings):
        reading = simulate_reading(rng, drift)
        fixations, boxes = reading.fixations, reading.boxes
        offsets = np.tile(reading.cross, (len(fixations), 1))
        found = {
            "reference": assign_by_reference(fixations, boxes, None),
            "reference, cross": assign_by_reference(fixations, boxes, reading.cross),
            "nearest": assign_nearest(fixations, boxes, 100.0),
            "cross": assign_after_cross(fixations, boxes, 100.0, offsets)[0],
            "corrected": assign_corrected(fixations, boxes, 100.0),
        }
        for method, word in found.items():
            right[method].append((word == reading.truth)[1:])
    return {method: float(np.concatenate(each).mean()) for method, each in right.items()}


def main() -> None:
    """Print a table in Markdown."""
    print("| drift right, down (pixels) | " + " | ".join(METHODS) + " |")
    print("| --- |" + " --- |" * len(METHODS))
    for drift in DRIFTS:
        shares = measure_accuracy(drift)
        print(f"| {drift[0]:g}, {drift[1]:g} | " + " | ".join(f"{shares[method]:.3f}" for method in METHODS) + " |")


if __name__ == "__main__":
    main()
