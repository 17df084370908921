from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.recording import Fixations, WordBoxes
from gazetune.pictures.scanpath import Scanpath, read_scanpath

BOXES = (
    ("one", 100.0, 100.0, 200.0, 120.0),
    ("<two>", 220.0, 100.0, 320.0, 120.0),
    ("$3", 100.0, 150.0, 200.0, 170.0),
)
Box = tuple[str, float, float, float, float]


def scanpath(*fixations: tuple[float, float, float], boxes: Sequence[Box] = BOXES) -> Scanpath:
    x, y, duration = np.array(fixations, dtype=float).T
    words, *corners = zip(*boxes, strict=True)
    placed = WordBoxes(words, np.array(corners, dtype=float).T, np.zeros(len(words), dtype=np.int64))
    return Scanpath(Fixations(x, y, duration, np.arange(len(x), dtype=float)), placed)


def read(
    folder: Path, fixations: str = "x,y,duration\n1,2,0.1\n", boxes: str = "text,x1,y1,x2,y2\na,1,2,3,4\n"
) -> Scanpath:
    (folder / "fixations.csv").write_text(fixations)
    (folder / "boxes.csv").write_text(boxes)
    return read_scanpath(folder / "fixations.csv", folder / "boxes.csv")


def test_a_circles_area_is_as_the_duration() -> None:
    picture = scanpath((150, 110, 0.2))
    assert picture.circle_radius(0.25) == pytest.approx(10.0)
    assert picture.circle_radius(1.0) == pytest.approx(2 * picture.circle_radius(0.25))


def test_later_fixations_are_darker() -> None:
    steps = scanpath(*[(150, 110, 0.2)] * 6).colour_steps()
    assert steps == sorted(set(steps)) and steps[-1] == 100
    assert len(scanpath((150, 110, 0.2)).colour_steps()) == 1


def test_the_png_is_as_high_as_the_screen_that_was_read_and_shows_circles_and_path(pixels: Any) -> None:
    image = pixels(scanpath((150, 110, 0.25), (270, 110, 0.25), (150, 160, 0.25)).to_png()[0]).astype(int)
    scale = 8.5 / 220  # inches of a pixel: from 100 to 320 across
    assert image.shape == (int((70 * scale + 0.95 + 0.25) * 200), 1800, 3)
    place = [int((0.95 + (160 - 100) * scale) * 200), int((0.25 + (150 - 100) * scale) * 200)]
    red, _, blue = image[place[0] + 30, place[1] + 30]  # beside the number, inside the third circle
    assert blue - red > 40
    line = int((0.95 + 10 * scale) * 200)
    red, _, blue = image[line - 3 : line + 4, 800].min(axis=0)
    assert red - blue > 40  # the line between the first two


def test_the_html_has_fixations_in_their_order_and_words_escaped(document: Any) -> None:
    text = scanpath((150, 110, 0.25), (270, 115.5, 0.1)).to_html()
    found = document(text)
    circles = [attrs for tag, attrs in found.elements if tag == "circle"]
    assert [(each["cx"], each["cy"], each["r"]) for each in circles] == [
        ("150.0", "110.0", "10.0"),
        ("270.0", "115.5", f"{10 * math.sqrt(0.4):.1f}"),
    ]
    assert [attrs["points"] for tag, attrs in found.elements if tag == "polyline"] == ["150.0,110.0 270.0,115.5"]
    assert found.cells == ["1", "150", "110", "250", "2", "270", "116", "100"]
    assert "&lt;two&gt;" in text and "<two>" not in text


def test_fixations_off_the_words_are_inside_the_picture() -> None:
    left, top, right, bottom = scanpath((20, 400, 0.25)).bounding_box()
    assert (left, top, right, bottom) == (10, 100, 320, 410)


def test_odd_words_can_be_drawn(pixels: Any) -> None:
    words = ["日本", "\U0001f642", "\x00"]
    boxes = [(word, 0.0, 30.0 * line, 90.0, 30.0 * line + 20) for line, word in enumerate(words)]
    assert np.ptp(pixels(scanpath((5, 5, 0.0), boxes=boxes).to_png()[0])) == 255


def test_files_of_both_separators_are_read(tmp_path: Path) -> None:
    boxes = "number;text;x1;y1;x2;y2;line\n0;None;1;2;3;4;first\n"
    picture = read(tmp_path, "ID,x,y,duration\n1,10,20,0.25\n2,30.5,20,0.1\n", boxes)
    fixations = picture.fixations
    assert (fixations.x.tolist(), fixations.y.tolist(), fixations.duration.tolist()) == (
        [10, 30.5],
        [20, 20],
        [0.25, 0.1],
    )
    assert (picture.boxes.words, picture.boxes.corners.tolist()) == (("None",), [[1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text,x1,y1,x2\na,1,2,3\n", "column 'y2' is missing"),
        ("text,x1,y1,x2,y2\na,1,2,3,4\nb,5,2,5,4\n", r"row 2: x1,y1,x2,y2: 5,2,5,4; accepted: x1 < x2"),
        ("text,x1,y1,x2,y2\n,1,2,3,4\n", "row 1: text: is empty"),
        ("text,x1,y1,x2,y2\na,1,2,inf,4\n", "row 1: x2: 'inf'"),
        ("text,x1,y1,x2,y2\n", "is missing; the file has a header alone"),
    ],
)
def test_wrong_boxes_are_refused_by_file_and_row(content: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        read(tmp_path, boxes=content)
    assert str(tmp_path / "boxes.csv") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [("x,y,duration\n1,2,-0.1\n", "row 1: duration: '-0.1'"), ("x,y\n1,2\n", "column 'duration' is missing")],
)
def test_wrong_fixations_are_refused_by_file_and_row(content: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected):
        read(tmp_path, fixations=content)


def test_the_files_of_oasst_etc_are_drawn(shared: Path, pixels: Any) -> None:
    folder = shared / "data" / "oasst_etc_sample" / "raw_format"
    picture = read_scanpath(
        folder / "fixations_assigned_541.2.csv", folder / "word_cor_image_fixations_1.2.participant.csv"
    )
    assert (len(picture.fixations), len(picture.boxes.words)) == (32, 13)
    assert pixels(picture.to_png()[0]).shape[1] == 1800


def test_the_html_tells_durations_and_keeps_each_word_in_its_box(document: Any) -> None:
    boxes = [("I", 0.0, 0.0, 90.0, 20.0), ("internationalization", 100.0, 0.0, 160.0, 20.0)]
    text = scanpath((45, 10, 0.25), boxes=boxes).to_html()
    assert "<g><title>1: 250 ms</title><circle" in text
    assert "a circle as high as a line of words is 250 ms" in text
    words = [attrs for tag, attrs in document(text).elements if tag == "text" and "textlength" in attrs]
    (short, long) = [(float(each["textlength"]), float(each["font-size"])) for each in words]
    assert short[0] < 20 and short[1] == 16.0  # not stretched over its box
    assert long[0] == pytest.approx(0.94 * 60, abs=0.1) and long[1] < 16.0
