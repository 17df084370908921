"""The heat map as PNG pages."""

from __future__ import annotations

from itertools import zip_longest

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from gazetune.eyetracking.text_lines import PlacedWord, break_lines, replace_unprintable
from gazetune.pictures.colours import LIGHT, choose_ink
from gazetune.pictures.heatmap import HeatMap
from gazetune.pictures.png_sheet import (
    CAPTION_COLOUR,
    clip_text,
    encode_png,
    font_of_size,
    make_text_ruler,
    new_sheet,
    write_text,
)

LINES_PER_PAGE = 45
"""Lines of text on one page."""

# Inches.
_MARGIN = 0.3
_GAP = 0.5
_COLUMN_WIDTH = {1: 6.9, 2: 4.9}
_LINE_HEIGHT = 0.27
_HEADER_HEIGHT = 0.95
_NOTE_HEIGHT = 0.3
_BAR_WIDTH = 2.2
_WORD_PADDING = 0.028
_POINTS = 11.0


def heatmap_png(heatmap: HeatMap) -> list[bytes]:
    """Return the pages of the picture as PNG files: panels side by side, `LINES_PER_PAGE` lines of text on a page."""
    column = _COLUMN_WIDTH[min(len(heatmap.panels), 2)]
    columns = [break_lines(panel.text, column, make_text_ruler(_POINTS)) for panel in heatmap.panels]
    by_page = [
        [lines[start : start + LINES_PER_PAGE] for start in range(0, len(lines), LINES_PER_PAGE)] for lines in columns
    ]
    pages = list(zip_longest(*by_page, fillvalue=[]))
    return [
        _draw_page(heatmap, lines, column, f"page {number} of {len(pages)}" if len(pages) > 1 else "")
        for number, lines in enumerate(pages, start=1)
    ]


def _draw_page(heatmap: HeatMap, columns: tuple[list[list[PlacedWord]], ...], column: float, page_label: str) -> bytes:
    width = 2 * _MARGIN + len(columns) * column + (len(columns) - 1) * _GAP
    above = _HEADER_HEIGHT + (_NOTE_HEIGHT if heatmap.note else 0.0)
    figure, axes = new_sheet(width, above + max(len(lines) for lines in columns) * _LINE_HEIGHT + _MARGIN)
    _draw_header(figure, axes, heatmap, page_label)
    for index, (panel, lines) in enumerate(zip(heatmap.panels, columns, strict=True)):
        left = _MARGIN + index * (column + _GAP)
        caption = clip_text(heatmap.describe_panel(panel), column, 9.0)
        write_text(axes, left, above - 0.1, caption, colour=CAPTION_COLOUR)
        steps = heatmap.colour_steps(panel)
        for row, line in enumerate(lines):
            _draw_line(axes, left, above + row * _LINE_HEIGHT, line, steps)
    return encode_png(figure, heatmap.title)


def _draw_header(figure: Figure, axes: Axes, heatmap: HeatMap, page_label: str) -> None:
    width, height = figure.get_size_inches()
    title_width = width - 2 * _MARGIN - _BAR_WIDTH - _GAP
    write_text(axes, _MARGIN, 0.37, clip_text(heatmap.title, title_width, 11.0), 10.5, weight="bold")
    if page_label:
        write_text(axes, _MARGIN, 0.57, page_label, colour=CAPTION_COLOUR)
    if heatmap.note:
        prompt = clip_text(f"Prompt: {replace_unprintable(heatmap.note)}", width - 2 * _MARGIN, 9.0)
        write_text(axes, _MARGIN, _HEADER_HEIGHT - 0.05, prompt, colour=CAPTION_COLOUR)
    bar = figure.add_axes(
        ((width - _MARGIN - _BAR_WIDTH) / width, 1.0 - 0.46 / height, _BAR_WIDTH / width, 0.12 / height), label="scale"
    )
    scale = ScalarMappable(Normalize(0.0, heatmap.highest_value or 1.0), ListedColormap(LIGHT))
    drawn = figure.colorbar(scale, cax=bar, orientation="horizontal")
    drawn.outline.set_visible(False)
    drawn.ax.tick_params(length=2, labelsize=7.5, pad=1.5)
    drawn.ax.set_title(f"{heatmap.measure}, {heatmap.unit}", fontproperties=font_of_size(8.0), pad=3)


def _draw_line(axes: Axes, left: float, top: float, words: list[PlacedWord], steps: list[int]) -> None:
    for word in words:
        colour = LIGHT[steps[word.index]]
        axes.add_patch(
            FancyBboxPatch(
                (left + word.left - _WORD_PADDING, top + 0.015),
                word.width + 2 * _WORD_PADDING,
                _LINE_HEIGHT - 0.03,
                boxstyle="round,pad=0,rounding_size=0.035",
                facecolor=colour,
                linewidth=0.0,
            )
        )
        write_text(axes, left + word.left, top + 0.185, word.text, _POINTS, choose_ink(colour))
