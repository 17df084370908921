from __future__ import annotations

import pytest

from gazetune.pictures.png_sheet import clip_text, make_text_ruler


def test_a_wider_string_is_measured_wider_and_size_counts() -> None:
    assert make_text_ruler(10.0)("mm") == pytest.approx(2 * make_text_ruler(10.0)("m"), abs=0.01)
    assert make_text_ruler(20.0)("m") == pytest.approx(2 * make_text_ruler(10.0)("m"), abs=0.01)


def test_a_line_is_cut_to_the_most_that_fits() -> None:
    text = "word and\n another " * 20
    cut = clip_text(text, 2.0, 9.0)
    line = " ".join(text.split())
    assert cut.endswith("…") and line.startswith(cut[:-1]) and len(cut) > 10
    assert make_text_ruler(9.0)(cut) <= 2.0 < make_text_ruler(9.0)(line[: len(cut)] + "…")


def test_a_line_that_fits_is_left_whole() -> None:
    assert clip_text(" short\tline ", 2.0, 9.0) == "short line"
    assert clip_text("", 2.0, 9.0) == ""
    assert clip_text("too narrow", 0.01, 9.0) == "…"
    assert clip_text("a" + " " * 2000 + "b", 2.0, 9.0) == "a…"
