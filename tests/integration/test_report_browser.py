"""The page of a report in a real browser: no complaint, no broken picture, on a screen, a phone and a dark screen."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gazetune.report.html.report_files import write_report_files
from tests.report_evidence import make_ablation, make_evidence

MEASURE = """
onload = () => {
  const page = document.querySelector("iframe").contentDocument;
  const pictures = [...page.querySelectorAll("svg")].map((svg) => {
    const box = svg.getBoundingClientRect();
    const inside = (text) => {
      const own = text.getBoundingClientRect();
      return own.left > box.left - 2 && own.right < box.right + 2
        && own.top > box.top - 2 && own.bottom < box.bottom + 2;
    };
    const texts = [...svg.querySelectorAll("text")];
    return { name: svg.closest("section").id, left: box.left, right: box.right, height: box.height,
      texts: texts.length, outside: texts.filter((text) => !inside(text)).map((text) => text.textContent.trim()),
      letters: Math.min(...texts.map((text) => text.getBoundingClientRect().height)) };
  });
  document.title = JSON.stringify({ width: page.documentElement.scrollWidth, pictures });
};
"""
PICTURES = [
    "intervals",
    "confirmation",
    "candidates",
    "history",
    "curves",
    "importance",
    "means",
    "masks",
    "cost",
    "reliability",
    "rewards",
    "length",
]


OF_AN_ABLATION = ["arms", "comparisons", "curves", "cost", "reliability", "rewards", "length"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report_files(make_evidence(), tmp_path_factory.mktemp("report"))["html"]


@pytest.fixture(scope="module")
def ablation_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report_files(make_ablation(), tmp_path_factory.mktemp("ablation"))["html"]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["page", "ablation_page"])
def test_every_picture_is_whole_on_a_screen_and_on_a_phone(
    kind: str, width: int, request: pytest.FixtureRequest, browse: Callable[..., tuple[str, str]]
) -> None:
    """The page itself forbids scripts, so it is measured in a frame of the same origin."""
    page: Path = request.getfixturevalue(kind)
    frame = page.with_name(f"frame{width}.html")
    frame.write_text(f'<iframe src="{page.name}" width="{width}" height="900"></iframe><script>{MEASURE}</script>')
    shown, complaints = browse(frame, "--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom")
    assert complaints == ""
    title = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)
    assert title is not None
    found: dict[str, Any] = json.loads(html.unescape(title[1]))
    assert found["width"] <= width
    assert [picture["name"] for picture in found["pictures"]] == (PICTURES if kind == "page" else OF_AN_ABLATION)
    for picture in found["pictures"]:
        assert 0 <= picture["left"] < picture["right"] <= width and picture["height"] > 50, picture
        assert picture["texts"] > 3 and not picture["outside"], picture
        assert picture["letters"] >= 7, picture


def test_the_page_is_drawn_on_a_light_and_on_a_dark_screen(page: Path, screenshot: Callable[..., NDArray[Any]]) -> None:
    light = screenshot(page, 1280, 2000)
    dark = screenshot(page, 1280, 2000, "--blink-settings=preferredColorScheme=0")
    assert light[2, 2].tolist() == [255, 255, 255] and dark[2, 2].tolist() == [0x12, 0x17, 0x1E]
    blues = {0: (0x1D, 0x4E, 0xD8), 1: (0x8A, 0xB4, 0xFF)}
    for image, blue in zip((light, dark), blues.values(), strict=True):
        assert (np.abs(image - np.array(blue)).sum(axis=2) == 0).sum() > 500, "the points of the pictures"


def test_no_text_of_the_user_runs_as_a_script(page: Path, browse: Callable[..., tuple[str, str]]) -> None:
    shown, complaints = browse(page, "--dump-dom")
    assert complaints == "" and shown.count("<script") == 0
    assert shown.count("&lt;script&gt;alert") > 10
