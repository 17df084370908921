"""Every kind of picture in a real browser: it is drawn, nothing is loaded, nothing is complained about."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gazetune.cli.main import main
from gazetune.pictures.colours import DARK, LIGHT

SENTENCE = "Photosynthesis converts light energy into chemical energy, and plants live on it."
MIXED = (
    "שלום עולם, said the reader.\n日本語の文章はスペースがありません。\n👩‍👩‍👧 🇩🇪 e\u0301 25 °C <b>&amp;</b>\n"
    "def f(x):\n\treturn x\n" + "https://example.com/" + "a/very/long/path/" * 20
)


def plot(out: Path, *what: str) -> Path:
    assert main(["gaze", "plot", *what, "--out", str(out)]) == 0
    return out


def sources(folder: Path) -> dict[str, list[str]]:
    """Return the flags of each kind of picture, for made-up input."""
    pair = {"prompt": "Tell me.\n" * 60, "chosen": f"{SENTENCE} {MIXED}", "rejected": SENTENCE}
    (folder / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    words = SENTENCE.split()
    read = [f"0,{word.strip(',')},{place},{place},{place},{place},{10 * place}" for place, word in enumerate(words[:9])]
    (folder / "read.csv").write_text("sentence_id,word,nFix,FFD,GPT,TRT,fixProp\n" + "\n".join(read) + "\n")
    boxes = [f"{word};{120 * place};20;{120 * place + 110};50" for place, word in enumerate(words)]
    (folder / "boxes.csv").write_text("text;x1;y1;x2;y2\n" + "\n".join(boxes) + "\n")
    fixations = [f"{120 * place + 55},{35 + place},0.{place + 1}" for place in range(8)]
    (folder / "fixations.csv").write_text("x,y,duration\n" + "\n".join(fixations) + "\n")
    return {
        "text": ["--text", MIXED],
        "pair": ["--pair", f"{folder / 'pairs.jsonl'}:1", "--measure", "fixProp"],
        "comparison": ["--compare", str(folder / "read.csv")],
        "one measure": ["--compare", str(folder / "read.csv"), "--measure", "TRT"],
        "scanpath": ["--scanpath", str(folder / "fixations.csv"), str(folder / "boxes.csv")],
    }


KINDS = ["text", "pair", "comparison", "one measure", "scanpath"]


def pixels_of(image: NDArray[Any], colours: tuple[str, ...]) -> int:
    """Return how many pixels have exactly one of the colours."""
    wanted = {int(colour[1:], 16) for colour in colours}
    return int(np.isin(image @ np.array([65536, 256, 1]), list(wanted)).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_drawn_on_a_light_and_on_a_dark_screen(
    kind: str, screenshot: Callable[..., NDArray[Any]], tmp_path: Path
) -> None:
    page = plot(tmp_path / "picture.html", *sources(tmp_path)[kind])
    light = screenshot(page, 1000, 900)
    dark = screenshot(page, 1000, 900, "--blink-settings=preferredColorScheme=0")
    assert light[5, 5].tolist() == [255, 255, 255] and dark[5, 5].tolist() == [0x12, 0x17, 0x1E]
    for image, paper in ((light, 0xFFFFFF), (dark, 0x12171E)):
        drawn = image @ np.array([65536, 256, 1]) != paper
        assert drawn.mean() > 0.01
        assert not drawn[:, -4:].any()  # nothing runs out of the page
    if kind in ("text", "pair"):
        assert pixels_of(light, LIGHT) > 5000 and pixels_of(dark, DARK) > 5000


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_fits_a_phone(kind: str, browse: Callable[..., tuple[str, str]], tmp_path: Path) -> None:
    """The page itself forbids scripts, so its width is measured in a frame of the same origin."""
    page = plot(tmp_path / "picture.html", *sources(tmp_path)[kind])
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe src="{page.name}" width="500" height="600"></iframe><script>onload = () => {{ const seen = '
        "document.querySelector('iframe').contentDocument.documentElement;"
        "document.title = `${seen.scrollWidth} ${seen.innerText.length}`; }</script>"
    )
    shown, complaints = browse(frame, "--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom")
    assert complaints == ""
    width, letters = map(int, re.search(r"<title>(\d+) (\d+)</title>", shown).groups())  # type: ignore[union-attr]
    assert width <= 500 and letters > 50


def test_markup_in_a_text_is_shown_and_not_run(browse: Callable[..., tuple[str, str]], tmp_path: Path) -> None:
    text = "<script>document.title='broken'</script> <img/src=x:y/onerror=alert(1)> </span></div> \"quoted' &amp;"
    shown, complaints = browse(plot(tmp_path / "picture.html", "--text", text), "--dump-dom")
    assert complaints == ""
    assert shown.count("<script") == 0 and shown.count("<img") == 0
    assert "<title>TRT (total reading time), predicted by lexical</title>" in shown
    assert len(re.findall(r'<span class="v\d+" title="nFix', shown)) == len(text.split())


def test_two_thousand_words_are_all_on_the_page(browse: Callable[..., tuple[str, str]], tmp_path: Path) -> None:
    text = "\n\n".join([SENTENCE] * 170)
    shown, complaints = browse(plot(tmp_path / "picture.html", "--text", text), "--dump-dom")
    assert complaints == ""
    assert len(re.findall(r'<span class="v\d+" title="nFix', shown)) == len(text.split()) == 2040


@pytest.mark.parametrize("kind", KINDS)
def test_a_png_has_all_of_the_picture(kind: str, tmp_path: Path) -> None:
    file = plot(tmp_path / "picture.png", *sources(tmp_path)[kind])
    with Image.open(file) as opened:
        image = np.asarray(opened.convert("RGB")).astype(int)
    dark = (image.max(axis=2) < 100).mean()
    assert 0.001 < dark < 0.5
    edges = np.concatenate([image[:, :8].ravel(), image[:, -8:].ravel(), image[:8].ravel(), image[-8:].ravel()])
    assert (edges == 255).all()  # nothing is cut off at the margins
