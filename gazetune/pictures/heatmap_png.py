"""The heat map as PNG pages."""

from __future__ import annotations

from itertools import zip_longest

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from gazetune.eyetracking.line_layout import Piece, printable, wrap
from gazetune.pictures.canvas import SOFT, clipped, font, png, sheet, text_width, write
from gazetune.pictures.colours import LIGHT, ink
from gazetune.pictures.heatmap import HeatMap

LINES = 45
"""Lines of text on one page."""

# Inches.
_MARGIN = 0.3
_GAP = 0.5
_COLUMN = {1: 6.9, 2: 4.9}
_LINE = 0.27
_HEADER = 0.95
_NOTE = 0.3
_BAR = 2.2
_PAD = 0.028
_POINTS = 11.0


def heatmap_png(picture: HeatMap) -> list[bytes]:
    """Return the pages of the picture as PNG files: panels side by side, `LINES` lines of text on a page."""
    column = _COLUMN[min(len(picture.panels), 2)]
    columns = [wrap(panel.text, column, text_width(_POINTS)) for panel in picture.panels]
    cut = [[lines[start : start + LINES] for start in range(0, len(lines), LINES)] for lines in columns]
    pages = list(zip_longest(*cut, fillvalue=[]))
    return [
        _page(picture, lines, column, f"page {place} of {len(pages)}" if len(pages) > 1 else "")
        for place, lines in enumerate(pages, start=1)
    ]


def _page(picture: HeatMap, columns: tuple[list[list[Piece]], ...], column: float, number: str) -> bytes:
    width = 2 * _MARGIN + len(columns) * column + (len(columns) - 1) * _GAP
    above = _HEADER + (_NOTE if picture.note else 0.0)
    figure, axes = sheet(width, above + max(len(lines) for lines in columns) * _LINE + _MARGIN)
    _header(figure, axes, picture, number)
    for place, (panel, lines) in enumerate(zip(picture.panels, columns, strict=True)):
        left = _MARGIN + place * (column + _GAP)
        write(axes, left, above - 0.1, clipped(picture.heading(panel), column, 9.0), colour=SOFT)
        levels = picture.levels(panel)
        for row, line in enumerate(lines):
            _line(axes, left, above + row * _LINE, line, levels)
    return png(figure, picture.title)


def _header(figure: Figure, axes: Axes, picture: HeatMap, number: str) -> None:
    width, height = figure.get_size_inches()
    room = width - 2 * _MARGIN - _BAR - _GAP
    write(axes, _MARGIN, 0.37, clipped(picture.title, room, 11.0), 10.5, weight="bold")
    if number:
        write(axes, _MARGIN, 0.57, number, colour=SOFT)
    if picture.note:
        prompt = clipped(f"Prompt: {printable(picture.note)}", width - 2 * _MARGIN, 9.0)
        write(axes, _MARGIN, _HEADER - 0.05, prompt, colour=SOFT)
    bar = figure.add_axes(
        ((width - _MARGIN - _BAR) / width, 1.0 - 0.46 / height, _BAR / width, 0.12 / height), label="scale"
    )
    scale = ScalarMappable(Normalize(0.0, picture.top or 1.0), ListedColormap(LIGHT))
    drawn = figure.colorbar(scale, cax=bar, orientation="horizontal")
    drawn.outline.set_visible(False)
    drawn.ax.tick_params(length=2, labelsize=7.5, pad=1.5)
    drawn.ax.set_title(f"{picture.measure}, {picture.unit}", fontproperties=font(8.0), pad=3)


def _line(axes: Axes, left: float, top: float, line: list[Piece], levels: list[int]) -> None:
    for piece in line:
        colour = LIGHT[levels[piece.word]]
        axes.add_patch(
            FancyBboxPatch(
                (left + piece.left - _PAD, top + 0.015),
                piece.width + 2 * _PAD,
                _LINE - 0.03,
                boxstyle="round,pad=0,rounding_size=0.035",
                facecolor=colour,
                linewidth=0.0,
            )
        )
        write(axes, left + piece.left, top + 0.185, piece.text, _POINTS, ink(colour))
