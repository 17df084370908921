from __future__ import annotations

import pytest

from gazetune.pictures.canvas import clipped, text_width


def test_a_wider_string_is_measured_wider_and_size_counts() -> None:
    assert text_width(10.0)("mm") == pytest.approx(2 * text_width(10.0)("m"), abs=0.01)
    assert text_width(20.0)("m") == pytest.approx(2 * text_width(10.0)("m"), abs=0.01)


def test_a_line_is_cut_to_the_most_that_fits() -> None:
    text = "word and\n another " * 20
    cut = clipped(text, 2.0, 9.0)
    line = " ".join(text.split())
    assert cut.endswith("…") and line.startswith(cut[:-1]) and len(cut) > 10
    assert text_width(9.0)(cut) <= 2.0 < text_width(9.0)(line[: len(cut)] + "…")


def test_a_line_that_fits_is_left_whole() -> None:
    assert clipped(" short\tline ", 2.0, 9.0) == "short line"
    assert clipped("", 2.0, 9.0) == ""
    assert clipped("too narrow", 0.01, 9.0) == "…"
    assert clipped("a" + " " * 2000 + "b", 2.0, 9.0) == "a…"
