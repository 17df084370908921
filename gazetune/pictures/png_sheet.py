"""A PNG as a sheet measured in inches from its upper left corner, and the fonts on it.

matplotlib draws it: MLflow needs it anyway, it carries its own font, and it needs no browser.
"""

from __future__ import annotations

import io
import logging
import warnings
from bisect import bisect_right
from collections.abc import Callable
from functools import cache, lru_cache

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font_names

DPI = 200
"""Pixels of an inch."""
CAPTION_COLOUR = "#595959"
"""The grey of captions, legends and axes."""

_FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Noto Sans JP",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Nirmala UI",
    "Noto Emoji",
    "Segoe UI Emoji",
    "Symbola",
)

logger = logging.getLogger(__name__)


@lru_cache
def font_of_size(points: float, weight: str = "normal") -> FontProperties:
    """Return the font that matplotlib brings, and behind it what this machine has for other scripts."""
    installed = set(get_font_names())
    family = ["DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in installed)]
    return FontProperties(family=family, size=points, weight=weight)


def make_text_ruler(points: float, weight: str = "normal") -> Callable[[str], float]:
    """Return a function that gives the width of a string in inches."""
    renderer = RendererAgg(1, 1, DPI)
    font = font_of_size(points, weight)

    @cache
    def measure_width(text: str) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of missing glyphs; `encode_png` says it once
            return renderer.get_text_width_height_descent(text, font, ismath=False)[0] / DPI

    return measure_width


def clip_text(text: str, width: float, points: float) -> str:
    r"""Return the beginning of a text that fits in `width` inches, on one line, with an ellipsis where it was cut.

    Examples
    --------
    >>> clip_text("a line that is\nlonger", width=0.7, points=9.0)
    'a line th…'
    """
    measure = make_text_ruler(points)
    line = " ".join(text[:1000].split())
    if measure(line) <= width and len(text) <= 1000:
        return line
    fitting = bisect_right(range(len(line) + 1), width, key=lambda end: measure(f"{line[:end]}…"))
    return f"{line[: max(fitting - 1, 0)]}…"


def new_sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a white figure of a size in inches, and axes over all of it in inches, y downwards."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0.0, width)
    axes.set_ylim(height, 0.0)
    axes.axis("off")
    return figure, axes


def write_text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    points: float = 9.0,
    colour: str = "#1a1a1a",
    weight: str = "normal",
    align: str = "left",
) -> None:
    """Write a line of text with its baseline at y inches. A dollar sign is a dollar sign, and begins no formula."""
    font = font_of_size(points, weight)
    axes.text(x, y, text, fontproperties=font, color=colour, ha=align, va="baseline", parse_math=False)


def encode_png(figure: Figure, title: str) -> bytes:
    """Return the figure as a PNG file."""
    stream = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FigureCanvasAgg(figure).print_png(stream, metadata={"Title": title})
    missing = {str(each.message) for each in caught if "missing from" in str(each.message)}
    if missing:
        logger.warning(
            "%d characters are in no font of this machine and stand as boxes in the PNG; HTML shows them", len(missing)
        )
    return stream.getvalue()
