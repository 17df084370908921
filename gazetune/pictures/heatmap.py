"""A text, or several side by side, as a heat map: every word shaded by one of its measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.eyetracking.text_lines import PlacedWord, break_lines, replace_unprintable
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.words import word_spans
from gazetune.pictures.colours import LIGHT, find_colour_steps
from gazetune.pictures.html_page import escape_html, html_page, html_table
from gazetune.pictures.measure_units import MEASURE_TITLES
from gazetune.pictures.png_sheet import (
    CAPTION_COLOUR,
    clip_text,
    encode_png,
    font_of_size,
    make_text_ruler,
    new_sheet,
    write_text,
)
from gazetune.pictures.shaded_text import LINE_HEIGHT, TEXT_POINTS, draw_shaded_line, shade_words

LINES_PER_PAGE = 45
"""Lines of text on one page."""

# Inches.
_MARGIN = 0.3
_GAP = 0.5
_COLUMN_WIDTH = {1: 6.9, 2: 4.9}
_HEADER_HEIGHT = 0.95
_NOTE_HEIGHT = 0.3
_BAR_WIDTH = 2.2


@dataclass(frozen=True, slots=True)
class Panel:
    """One text of a heat map."""

    caption: str
    text: str
    values: NDArray[np.float64]
    """[words, 5] measures of its words."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """What is drawn. All panels share one scale, from 0 to the highest value among them."""

    panels: tuple[Panel, ...]
    measure: str
    unit: str
    """What a value of the measure means, such as `1 = 48.5 ms`."""
    source: str
    """Where the measures come from."""
    note: str = ""
    """What the texts answer: shown above them, not shaded."""

    @property
    def highest_value(self) -> float:
        """The value that gets the last colour."""
        return max(float(self.values_of(panel).max()) for panel in self.panels)

    @property
    def title(self) -> str:
        """One line that says what is seen."""
        return f"{self.measure} ({MEASURE_TITLES[self.measure]}), {self.source}"

    def values_of(self, panel: Panel) -> NDArray[np.float64]:
        """Return the values [words] of the measure that is drawn."""
        return panel.values[:, MEASURES.index(self.measure)]

    def colour_steps(self, panel: Panel) -> list[int]:
        """Return the step of the colour scale of each word, 0..100."""
        return find_colour_steps(self.values_of(panel), self.highest_value).tolist()

    def describe_panel(self, panel: Panel) -> str:
        """Return a panel's caption with its number of words and the mean of the measure over them."""
        facts = f"{len(panel.values)} words, mean {self.measure} {self.values_of(panel).mean():.2f}"
        return f"{panel.caption}: {facts}" if panel.caption else facts

    def to_png(self) -> list[bytes]:
        """Return the pages as PNG files: panels side by side, `LINES_PER_PAGE` lines of text on a page."""
        column = _COLUMN_WIDTH[min(len(self.panels), 2)]
        columns = [break_lines(panel.text, column, make_text_ruler(TEXT_POINTS)) for panel in self.panels]
        starts = range(0, max(len(lines) for lines in columns), LINES_PER_PAGE)
        pages = [[lines[start : start + LINES_PER_PAGE] for lines in columns] for start in starts]
        return [
            _draw_page(self, page, column, f"page {number} of {len(pages)}" if len(pages) > 1 else "")
            for number, page in enumerate(pages, start=1)
        ]

    def to_html(self) -> str:
        """Return an HTML document; a word's five measures show when it is pointed at, and in a table."""
        prompt = f'<div class="text prompt" dir="auto">{escape_html(self.note)}</div>'
        body = [
            f"<h1>{escape_html(self.title)}</h1>",
            f"<details open>\n<summary>Prompt</summary>\n{prompt}\n</details>" if self.note else "",
            _colour_bar_html(self),
            '<div class="panels">',
            *(_panel_html(self, panel) for panel in self.panels),
            "</div>",
            *(_values_html(panel) for panel in self.panels),
        ]
        return html_page(self.title, "\n".join(part for part in body if part))


def read_panels(predictor: GazePredictor, texts: Mapping[str, str]) -> tuple[Panel, ...]:
    """Return texts, given by their captions, with the predictor's measures of their words.

    Raises
    ------
    InputError
        If a text has no words, or the predictor refuses one.
    """
    for caption, text in texts.items():
        if not text.strip():
            raise InputError(f"{caption or 'text'} {text[:40]!r}: has no words")
    predicted = predictor.predict(list(texts.values()))
    return tuple(
        Panel(caption, text, gaze.word_values(len(word_spans(text))))
        for (caption, text), gaze in zip(texts.items(), predicted, strict=True)
    )


def _colour_bar_html(heatmap: HeatMap) -> str:
    steps = "".join(f'<span class="v{step}"></span>' for step in range(0, 101, 4))
    ticks = "".join(f"<span>{share * heatmap.highest_value:.3g}</span>" for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    label = f"{heatmap.measure}, {heatmap.unit}"
    return (
        '<div class="legend">\n'
        f'<div class="bar" role="img" aria-label="Colour scale from 0 to {heatmap.highest_value:.3g}">{steps}</div>\n'
        f'<div class="ticks">{ticks}</div>\n<p class="soft">{escape_html(label)}</p>\n</div>'
    )


def _panel_html(heatmap: HeatMap, panel: Panel) -> str:
    titles = [
        ", ".join(f"{name} {value:.2f}" for name, value in zip(MEASURES, values, strict=True))
        for values in panel.values.tolist()
    ]
    shaded = shade_words(panel.text, [f"v{step}" for step in heatmap.colour_steps(panel)], titles)
    heading = escape_html(heatmap.describe_panel(panel))
    return f"<section>\n<h2>{heading}</h2>\n{shaded}\n</section>"


def _values_html(panel: Panel) -> str:
    words = (panel.text[start:stop] for start, stop in word_spans(panel.text).tolist())
    rows = [[word, *(f"{value:.2f}" for value in row)] for word, row in zip(words, panel.values, strict=True)]
    caption = f"Values: {panel.caption}" if panel.caption else "Values"
    return f"<details>\n<summary>{escape_html(caption)}</summary>\n{html_table(['word', *MEASURES], rows)}\n</details>"


def _draw_page(heatmap: HeatMap, columns: list[list[list[PlacedWord]]], column: float, page_label: str) -> bytes:
    width = 2 * _MARGIN + len(columns) * column + (len(columns) - 1) * _GAP
    above = _HEADER_HEIGHT + (_NOTE_HEIGHT if heatmap.note else 0.0)
    figure, axes = new_sheet(width, above + max(len(lines) for lines in columns) * LINE_HEIGHT + _MARGIN)
    _draw_header(figure, axes, heatmap, page_label)
    for index, (panel, lines) in enumerate(zip(heatmap.panels, columns, strict=True)):
        left = _MARGIN + index * (column + _GAP)
        caption = clip_text(heatmap.describe_panel(panel), column, 9.0)
        write_text(axes, left, above - 0.1, caption, colour=CAPTION_COLOUR)
        colours = [LIGHT[step] for step in heatmap.colour_steps(panel)]
        for row, line in enumerate(lines):
            draw_shaded_line(axes, left, above + row * LINE_HEIGHT, line, colours)
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
