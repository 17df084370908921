"""matplotlib's figures as SVG that stands in a page: it follows a light or dark screen, and its text stays text.

Each colour of a figure is drawn as a mark of its own and becomes a CSS variable in the SVG, so the page decides what it
looks like. Figures are narrow, so that a phone shows their letters large enough.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from gazetune.eyetracking.text_lines import replace_unprintable
from gazetune.pictures.colours import DARK, LIGHT
from gazetune.pictures.html_page import escape_html

WIDTH = 5.6
"""Inches: 403 units of the SVG, about the width of a phone in pixels."""

INK, SOFT, LINE, PAPER = "#1a1a1b", "#59595a", "#c4c9d2", "#fefeff"
BLUE, ORANGE, PURPLE, GREEN, RED, GREY = "#1d4ed9", "#c2410d", "#7c3aee", "#047858", "#b91c1d", "#8a919c"

# On a light page, and on a dark one: each at least 3:1 against the page (WCAG 2.2, graphical objects) but for lines.
_COLOURS = {
    INK: ("ink", "#1a1a1a", "#e8e8e8"),
    SOFT: ("soft", "#595959", "#a8b0bb"),
    LINE: ("line", "#c4c9d1", "#414b58"),
    PAPER: ("page", "#ffffff", "#12171e"),
    BLUE: ("blue", "#1d4ed8", "#8ab4ff"),
    ORANGE: ("orange", "#c2410c", "#ff9d5c"),
    PURPLE: ("purple", "#7c3aed", "#c4a5ff"),
    GREEN: ("green", "#047857", "#5fd3a4"),
    RED: ("red", "#b91c1c", "#ff8a80"),
    GREY: ("grey", "#8a919b", "#7d8794"),
}
SHADES = 11
"""Steps of the colour scale in figures."""
_SHADE_MARKS = tuple(f"#0a0b{step:02x}" for step in range(SHADES))
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a text of the user may hold `$`
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.5,
    "legend.fontsize": 9.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": SOFT,
    "axes.titlelocation": "left",
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.unicode_minus": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}
_LONGEST_LABEL = 28
"""Letters; more of them leave no room for the picture."""


def new_figure(height: float) -> Figure:
    """Return an empty figure of the usual width; `height` in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def shade(share: float) -> str:
    """Return the colour of a share, 0 to 1, on the scale of all pictures."""
    return _SHADE_MARKS[round(max(0.0, min(1.0, share)) * (SHADES - 1))]


def clip_label(text: str) -> str:
    """Return a text of the user as it stands in a figure: on one line, and not longer than there is room.

    Examples
    --------
    >>> clip_label("a" * 50)
    'aaaaaaaaaaaaaaaaaaaaaaaaaaa…'
    """
    line = replace_unprintable(" ".join(text.split()))
    return line if len(line) <= _LONGEST_LABEL else line[: _LONGEST_LABEL - 1] + "…"


def render_svg(draw: Callable[[], Figure], name: str, label: str) -> str:
    """Return a figure as an `<svg>` element of an HTML page.

    Parameters
    ----------
    draw
        Makes the figure, with this file's colours.
    name
        Begins each id in the SVG; figures of one page need different ones.
    label
        Is read out in place of the picture.
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = draw()
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style type=\"text/css\">.*?</style>", "", svg, flags=re.DOTALL)  # it would style the whole page
    box = re.search(r"viewBox=\"([^\"]*)\"", svg)
    assert box is not None, "matplotlib writes one"
    svg = f'<svg viewBox="{box[1]}" role="img" aria-label="{escape_html(label)}">' + svg[svg.index(">") + 1 :]
    svg = _rename_ids(svg, name)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    names = {mark: variable for mark, (variable, _, _) in _COLOURS.items()}
    names |= {mark: f"shade{step}" for step, mark in enumerate(_SHADE_MARKS)}
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: f"var(--{names[found[0]]})" if found[0] in names else found[0], svg)


def _rename_ids(svg: str, name: str) -> str:
    """Let the ids that something refers to begin with a name, and leave the others out."""
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", svg))
    svg = re.sub(r" id=\"([^\"]+)\"", lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    return re.sub(r"(href=\"#|url\(#)", rf"\1{name}-", svg)


def colour_variables(dark: bool) -> str:
    """Return the CSS variables of all colours, for a light or a dark page."""
    fixed = [f"--{name}: {on_dark if dark else on_light};" for name, on_light, on_dark in _COLOURS.values()]
    scale = DARK if dark else LIGHT
    steps = [f"--shade{step}: {scale[step * (len(scale) - 1) // (SHADES - 1)]};" for step in range(SHADES)]
    return " ".join([*fixed, *steps])
