"""Showings of pages to readings of texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazetune.eyetracking.split_readings import PageShowing, split_readings

PAGES = {"a": 2, "b": 1}


def showings(shown: str, anew: bool = True) -> list[PageShowing]:
    """Return showings of names like `a1 a2 b1`."""
    return [PageShowing(name[0], int(name[1]) - 1, anew) for name in shown.split()]


@pytest.mark.parametrize(
    ("shown", "readings"),
    [
        ("a1 a2 a1", [0, 0, 0]),
        ("a1 a2 a1 a2", [0, 0, 1, 1]),
        ("a1 a2 a1 a1", [0, 0, 0, 1]),
        ("a1 a1 a2", [0, 1, 1]),
        ("a2 a1 a2", [0, 0, 0]),
        ("a1 b1 a2", [0, 0, 1]),
        ("b1 b1 b1", [0, 1, 2]),
        ("a1 a2 b1 a1 a2 b1", [0, 0, 0, 1, 1, 1]),
    ],
)
def test_turning_back_is_one_reading_and_beginning_again_another(shown: str, readings: list[int]) -> None:
    assert split_readings(showings(shown), PAGES) == readings


def test_without_a_mark_of_a_beginning_only_another_trial_between_makes_a_reading() -> None:
    assert split_readings(showings("a1 a2 a1 a2 b1 b1 a1", anew=False), PAGES) == [0, 0, 0, 0, 0, 0, 1]


@given(st.lists(st.sampled_from(["a1", "a2", "b1"]), max_size=12), st.booleans())
def test_the_readings_of_a_trial_are_counted_through(names: list[str], anew: bool) -> None:
    found = split_readings(showings(" ".join(names), anew), PAGES)
    for trial in PAGES:
        of_trial = [reading for name, reading in zip(names, found, strict=True) if name[0] == trial]
        assert of_trial == sorted(of_trial) and set(of_trial) == set(range(len(set(of_trial))))
