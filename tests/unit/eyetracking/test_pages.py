"""The pages of a trial: how a screen is named, and where its fixations lie in the whole trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gazetune.eyetracking.fixations import Fixations
from gazetune.eyetracking.pages import find_screen, paged_recording, read_screens

BOXES = "text;x1;y1;x2;y2\n{};10;10;60;30\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, word in (("7.2", "whole"), ("9.1_p1", "first"), ("9.1_p2", "second")):
        (tmp_path / f"{name}.csv").write_text(BOXES.format(word))
    return tmp_path


def test_a_screen_is_found_by_its_name_or_that_of_its_image(folder: Path) -> None:
    screens = read_screens(folder)
    for name in ("9.1_p2", "9.1_p2.png", "screens/9.1_p2.png", "screens/9.1_p2"):
        assert find_screen(screens, name) is screens["9.1_p2"]
    assert find_screen(screens, "7.2") is screens["7.2"]  # its ending is no file's
    assert find_screen(screens, "", "7.2.png") is screens["7.2"]
    assert find_screen(screens, "9.1", "7") is None


def test_each_page_and_its_fixations_lie_one_screen_lower(folder: Path) -> None:
    at = np.array([20.0, 30.0])
    fixations = Fixations(at, at, np.array([0.1, 0.2]), np.array([0.0, 1.0]))
    recording = paged_recording(folder, "r", "9.1", read_screens(folder), (100, 50), fixations, np.array([1, 0]))
    assert recording.words == ("first", "second") and (recording.pages, recording.screen) == (2, (100, 50))
    assert recording.boxes is not None and recording.fixations is not None
    assert recording.boxes.corners[:, 1].tolist() == [10, 60] and recording.boxes.line.tolist() == [0, 1]
    assert recording.fixations.y.tolist() == [70.0, 30.0]
