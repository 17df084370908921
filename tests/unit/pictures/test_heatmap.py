from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.predictors.lexical import LexicalPredictor
from gazetune.pictures.colours import DARK, LIGHT
from gazetune.pictures.heatmap import LINES_PER_PAGE, HeatMap, Panel, read_panels

ODD = "<script>alert('x')</script> \"a&b\" $x^2$ 日本語 \U0001f642 e\u0301 \x00 \ud800"


def heatmap(*texts: str, trt: list[list[float]] | None = None, note: str = "") -> HeatMap:
    """Return a heat map of TRT whose words have the values given, else 1, 2, 3 and so on."""
    panels = []
    for place, text in enumerate(texts):
        values = np.zeros((len(text.split()), len(MEASURES)))
        values[:, MEASURES.index("TRT")] = trt[place] if trt else np.arange(1, len(values) + 1)
        panels.append(Panel(f"text {place}" if len(texts) > 1 else "", text, values))
    return HeatMap(tuple(panels), "TRT", "1 = 48.5 ms", "made up", note)


def test_each_word_stands_on_its_colour_in_the_order_of_the_text(where: Any) -> None:
    (content,) = heatmap("mmmm mmmm mmmm", trt=[[2.0, 10.0, 5.0]]).to_png()
    places = [where(content, LIGHT[level])[200:] for level in (20, 100, 50)]  # below the colour bar
    assert all(place.sum() > 1000 for place in places)
    centres = [np.nonzero(place)[1].mean() for place in places]
    assert centres == sorted(centres)


def test_a_higher_value_is_darker(pixels: Any) -> None:
    (content,) = heatmap("mmm " * 8).to_png()
    row = pixels(content)[195].astype(float).sum(axis=1)  # above the letters of the first line
    shades = [value for value, before in zip(row[1:], row, strict=False) if value != before and value < 740]
    plain = [value for value in shades if (row == value).sum() > 30]
    assert len(plain) == 8 and plain == sorted(plain, reverse=True)


def test_a_page_is_as_wide_as_its_panels_and_as_high_as_its_lines(pixels: Any) -> None:
    one = pixels(heatmap("a\nb\nc").to_png()[0]).shape
    more = pixels(heatmap("a\nb\nc\nd\ne").to_png()[0]).shape
    pair = pixels(heatmap("a\nb\nc", "a").to_png()[0]).shape
    assert one == (412, 1500, 3)
    assert more == (520, 1500, 3)
    assert pair == (412, 2180, 3)


def test_a_pair_shares_one_scale_and_stands_side_by_side(where: Any) -> None:
    (content,) = heatmap("mmmm", "mmmm mmmm", trt=[[5.0], [10.0, 5.0]], note="What is it?").to_png()
    dark, half = (where(content, LIGHT[level])[250:] for level in (100, 50))
    assert not dark[:, :1090].any() and dark[:, 1090:].any()
    assert half[:, :1090].any() and half[:, 1090:].any()


def test_a_long_text_goes_on_over_pages(pixels: Any) -> None:
    pages = heatmap("\n".join(["word"] * (2 * LINES_PER_PAGE + 3)), "word").to_png()
    heights = [pixels(page).shape[0] for page in pages]
    assert len(pages) == 3 and heights[0] == heights[1] > heights[2]


def test_odd_characters_can_be_drawn_and_missing_ones_are_told_once(pixels: Any, caplog: Any) -> None:
    (content,) = heatmap(ODD, note=ODD).to_png()
    assert pixels(content).std() > 10
    assert len(caplog.records) <= 1


def test_a_text_whose_values_are_all_zero_is_drawn_light(where: Any) -> None:
    picture = heatmap("mmmm mmmm", trt=[[0.0, 0.0]])
    assert where(picture.to_png()[0], LIGHT[0])[200:].sum() > 1000
    assert 'class="v0"' in picture.to_html()


def test_the_html_has_every_word_escaped_with_its_values(document: Any) -> None:
    text = heatmap(ODD, note=ODD).to_html()
    found = document(text)
    assert [word for _, word in found.words] == ODD.replace("\x00", "\ufffd").replace("\ud800", "\ufffd").split()
    assert found.words[0][0]["title"] == "nFix 0.00, FFD 0.00, GPT 0.00, TRT 1.00, fixProp 0.00"
    assert "<script" not in text and "&lt;script&gt;alert(" in text
    assert text.encode() and "\x00" not in text


def test_the_html_shades_by_the_value_and_lists_the_values(document: Any) -> None:
    found = document(heatmap("a b c", "d", trt=[[1.0, 2.0, 4.0], [3.0]]).to_html())
    assert [attributes["class"] for attributes, _ in found.words] == ["v25", "v50", "v100", "v75"]
    assert found.cells == [
        *("a", "0.00", "0.00", "0.00", "1.00", "0.00", "b", "0.00", "0.00", "0.00", "2.00", "0.00"),
        *("c", "0.00", "0.00", "0.00", "4.00", "0.00", "d", "0.00", "0.00", "0.00", "3.00", "0.00"),
    ]


def test_the_html_has_a_scale_for_light_and_for_dark_screens() -> None:
    light, _, dark = heatmap("a").to_html().partition("prefers-color-scheme: dark")
    for style, scale in ((light, LIGHT), (dark, DARK)):
        assert re.findall(r"\.v(\d+) \{ background: (#\w+)", style) == [(str(n), c) for n, c in enumerate(scale)]


def test_the_html_keeps_the_white_space_between_words() -> None:
    text = heatmap("a\r\n\tb\x0bc").to_html()
    assert re.sub(r"<[^>]+>", "", text.partition('dir="auto">')[2].partition("</div>")[0]) == "a\n\tb\nc"


def test_the_prompt_keeps_its_lines_in_html() -> None:
    assert (
        '<div class="text prompt" dir="auto">What\n\tis &lt;it&gt;?</div>'
        in heatmap("a", note="What\n\tis <it>?").to_html()
    )


def test_panels_have_the_measures_of_their_words() -> None:
    predictor = LexicalPredictor()
    first, second = read_panels(predictor, {"chosen": "A short reply.", "rejected": "Another one"})
    assert (first.caption, second.caption) == ("chosen", "rejected")
    np.testing.assert_allclose(first.values, predictor.predict(["A short reply."])[0].values)
    assert second.values.shape == (2, 5)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_without_words_is_refused_by_its_caption(text: str) -> None:
    with pytest.raises(InputError, match=r"^rejected '.*': has no words$"):
        read_panels(LexicalPredictor(), {"chosen": "word", "rejected": text})
