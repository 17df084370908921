"""The pages of a trial: how a page is named, and where its fixations lie in the whole trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gazetune.eyetracking.recording import Fixations
from gazetune.eyetracking.stimulus_pages import find_stimulus_page, join_pages, read_stimulus_pages

BOXES = "text;x1;y1;x2;y2\n{};10;10;60;30\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, word in (("7.2", "whole"), ("9.1_p1", "first"), ("9.1_p2", "second")):
        (tmp_path / f"{name}.csv").write_text(BOXES.format(word))
    return tmp_path


def test_a_page_is_found_by_its_name_or_that_of_its_image(folder: Path) -> None:
    pages = read_stimulus_pages(folder)
    for name in ("9.1_p2", "9.1_p2.png", "screens/9.1_p2.png", "screens/9.1_p2"):
        assert find_stimulus_page(pages, name) is pages["9.1_p2"]
    assert find_stimulus_page(pages, "7.2") is pages["7.2"]  # its ending is no file's
    assert find_stimulus_page(pages, "", "7.2.png") is pages["7.2"]
    assert find_stimulus_page(pages, "9.1", "7") is None


def test_each_page_and_its_fixations_lie_one_screen_lower(folder: Path) -> None:
    at = np.array([20.0, 30.0])
    fixations = Fixations(at, at, np.array([0.1, 0.2]), np.array([0.0, 1.0]))
    recording = join_pages(folder, "r", "9.1", read_stimulus_pages(folder), (100, 50), fixations, np.array([1, 0]))
    assert recording.words == ("first", "second") and (recording.page_count, recording.screen) == (2, (100, 50))
    assert recording.boxes is not None and recording.fixations is not None
    assert recording.boxes.corners[:, 1].tolist() == [10, 60] and recording.boxes.line.tolist() == [0, 1]
    assert recording.fixations.y.tolist() == [70.0, 30.0]
