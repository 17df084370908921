from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from matplotlib.figure import Figure

from gazetune.report.html.figure import BLUE, INK, colour_variables, new_figure, render_svg, shade

MARKUP = "<script>alert('$x_1$')</script> & \"x\""


def draw() -> Figure:
    figure = new_figure(2.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "o-", color=BLUE)
    axes.barh([0], [1], color=shade(0.5))
    axes.set_title(MARKUP, color=INK)
    axes.set_xticks([0.0, 1.0], [MARKUP, "b"])
    return figure


def test_a_text_of_the_user_is_text_in_the_picture_and_no_formula() -> None:
    svg = render_svg(draw, "one", MARKUP)
    assert "<script" not in svg
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert root.get("aria-label") == MARKUP
    texts = ["".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("text")]
    assert texts.count(MARKUP) == 2


def test_colours_are_those_of_the_page_which_are_given_for_light_and_dark() -> None:
    svg = render_svg(draw, "one", "")
    used = set(re.findall(r"var\(--(\w+)\)", svg))
    assert {"ink", "blue", "soft", "shade5"} <= used
    assert not re.findall(r"#[0-9a-f]{6}\b", svg), "a fixed colour is not seen on one of the two pages"
    for dark in (False, True):
        assert used <= set(re.findall(r"--(\w+):", colour_variables(dark)))
    assert colour_variables(False) != colour_variables(True)


def test_two_pictures_of_a_page_share_no_id_and_find_their_own_marks() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', render_svg(draw, name, ""))) for name in ("one", "two")]
    assert ids[0] and not ids[0] & ids[1]
    svg = render_svg(draw, "one", "")
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= ids[0]


def test_a_picture_is_the_same_whenever_it_is_drawn() -> None:
    assert render_svg(draw, "one", "") == render_svg(draw, "one", "")
