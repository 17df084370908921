"""Fixations to words on a made-up screen of two lines."""

from __future__ import annotations

import numpy as np
import pytest

from gazetune.eyetracking.assign_words import (
    TrialLimits,
    assign_after_cross,
    assign_corrected,
    assign_nearest,
    find_vertical_offset,
)
from gazetune.eyetracking.recording import Fixations, WordBoxes
from tests.bench.drift import measure_accuracy, simulate_reading

# Line 0: words 0 and 1 at y 100..120. Line 1: words 2 and 3 at y 200..220.
BOXES = WordBoxes(
    ("a", "b", "c", "d"),
    np.array([[100, 100, 180, 120], [200, 100, 280, 120], [100, 200, 180, 220], [200, 200, 280, 220]], dtype=float),
    np.array([0, 0, 1, 1]),
)


def fixations(*points: tuple[float, float]) -> Fixations:
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    return Fixations(x, y, np.full(len(x), 0.2), np.arange(len(x), dtype=float))


@pytest.mark.parametrize(
    ("point", "word"),
    [
        ((150, 110), 0),  # inside
        ((186, 110), 0),  # nearer to the left box
        ((194, 110), 1),
        ((150, 159), 0),  # nearer to the upper line
        ((150, 161), 2),
        ((290, 161), 3),  # the line goes first, then the box on it
        ((329, 110), 1),  # 49 pixels to the right
        ((331, 110), -1),  # 51 pixels
        ((310, 140), 1),  # 30 across, 20 down: 36.06
        ((320, 150), 1),  # 40 across, 30 down: 50, the limit itself
        ((321, 150), -1),
    ],
)
def test_a_fixation_goes_to_the_nearest_box_on_the_nearest_line(point: tuple[float, float], word: int) -> None:
    assert assign_nearest(fixations(point), BOXES, 50.0).tolist() == [word]


def test_the_line_is_chosen_by_its_band_and_not_by_the_single_box() -> None:
    # The tall second word reaches down to 140, so at y 150 its line is nearer although word 0's own box is not.
    boxes = WordBoxes(
        ("a", "b", "c"),
        np.array([[100, 100, 180, 120], [200, 100, 280, 140], [100, 164, 180, 180]], dtype=float),
        np.array([0, 0, 1]),
    )
    assert assign_nearest(fixations((150, 150)), boxes, 100).tolist() == [0]


def test_a_constant_vertical_shift_is_found_and_taken_out() -> None:
    true = [0, 1, 2, 3, 2, 0]
    centres = [((a + c) / 2, (b + d) / 2) for a, b, c, d in BOXES.corners]
    shifted = fixations(*[(centres[word][0], centres[word][1] + 42) for word in true])
    assert find_vertical_offset(shifted, BOXES) == -42
    assert assign_corrected(shifted, BOXES, 10).tolist() == true
    assert assign_nearest(shifted, BOXES, 10).tolist() == [-1] * 6


def test_fixations_in_place_are_not_shifted() -> None:
    assert find_vertical_offset(fixations((150, 110), (150, 210)), BOXES) == 0


def test_one_line_alone_can_be_corrected_too() -> None:
    line = WordBoxes(BOXES.words[:2], BOXES.corners[:2], BOXES.line[:2])
    assert assign_corrected(fixations((150, 140), (240, 141)), line, 15).tolist() == [0, 1]


def test_no_fixations_go_nowhere() -> None:
    assert assign_corrected(fixations(), BOXES, 10).tolist() == []
    assert assign_nearest(fixations(), BOXES, 10).tolist() == []


def test_fixations_off_the_screen_are_told_and_unknown_places_are_kept() -> None:
    points = fixations((0, 0), (300, 200), (-1, 5), (301, 5), (5, -1), (5, 201), (np.nan, np.nan))
    assert points.are_on_screen((300, 200)).tolist() == [True, True, False, False, False, False, True]


def test_a_trial_beyond_the_limits_is_dropped_with_a_reason() -> None:
    limits = TrialLimits(min_fixations=4, min_assigned=0.5)
    assert limits.reason_to_drop(np.array([0, 1, -1, -1])) is None
    assert limits.reason_to_drop(np.array([0, 1, 2])) == "3 fixations on the screen, fewer than 4"
    assert limits.reason_to_drop(np.array([0, -1, -1, -1])) == "25% of its fixations lie on a word, less than 50%"
    assert "0 fixations" in str(TrialLimits(min_fixations=1).reason_to_drop(np.array([], dtype=int)))


def test_a_cross_shows_a_drift_in_both_directions_and_corrected_a_vertical_one_alone() -> None:
    down, right = measure_accuracy((0.0, 40.0), readings=10), measure_accuracy((40.0, 40.0), readings=10)
    assert max(down["reference"], down["nearest"]) < 0.6
    assert down["reference, cross"] > 0.9 and down["cross"] > 0.98 and down["corrected"] > 0.999
    assert right["cross"] > 0.98 and right["corrected"] < 0.8


def test_the_offset_from_a_cross_is_left_in_where_it_brings_fixations_farther_from_words() -> None:
    reading = simulate_reading(np.random.default_rng(1), (0.0, 0.0), scatter=2.0)
    wrong = np.full((len(reading.fixations), 2), 30.0)  # the reader looked away from the cross
    word, taken_out = assign_after_cross(reading.fixations, reading.boxes, 100.0, wrong)
    assert not taken_out and word.tolist() == reading.truth.tolist()
    without = np.full((len(reading.fixations), 2), np.nan)
    assert not assign_after_cross(reading.fixations, reading.boxes, 100.0, without)[1]
