"""Texts whose words add to a number or take from it: orange and blue, the more the stronger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gazetune.eyetracking.text_lines import PlacedWord, break_lines
from gazetune.gaze.words import word_spans
from gazetune.pictures.colours import LIGHT, STEPS, WARM_DARK, WARM_LIGHT, find_colour_steps
from gazetune.pictures.html_page import escape_html, html_page, html_table, style_scale
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
_BOTH_SIDES = (*reversed(LIGHT[1:]), *WARM_LIGHT)
"""From the strongest blue over paper to the strongest orange."""

# Inches.
_MARGIN = 0.3
_GAP = 0.5
_COLUMN_WIDTH = {1: 6.9, 2: 4.9}
_BAR_WIDTH = 2.2
_HEADER_HEIGHT = 0.75


@dataclass(frozen=True, slots=True)
class SignedText:
    """One text with what each of its words adds."""

    caption: str
    text: str
    added: NDArray[np.float64]
    """[words]; below zero for a word that takes away."""
    titles: Sequence[str]
    """What is shown of each word when it is pointed at."""


class _Line(NamedTuple):
    """A line of a column on a sheet: a caption, or words."""

    caption: str
    words: list[PlacedWord]
    colours: list[str]
    """Of all words of the text, by their index."""


@dataclass(frozen=True, slots=True)
class SignedMap:
    """What is drawn: columns side by side, each one text or several below each other. All share one scale."""

    title: str
    unit: str
    """What the words add to."""
    columns: tuple[tuple[SignedText, ...], ...]
    header: Sequence[str]
    """Of the table below the picture."""
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    """Sentences above the picture."""

    @property
    def largest(self) -> float:
        """The size of the value that gets the strongest colour."""
        return max(float(np.abs(text.added).max(initial=0.0)) for column in self.columns for text in column)

    def to_html(self) -> str:
        """Return an HTML document, with the values of all words in tables."""
        columns = [
            f"<div>{''.join(self._text_html(text) for text in column)}</div>" for column in self.columns if column
        ]
        body = [
            f"<h1>{escape_html(self.title)}</h1>",
            *(f'<p class="soft">{escape_html(note)}</p>' for note in self.notes),
            html_table(self.header, self.rows),
            self._bar_html(),
            f'<div class="panels">{"".join(columns)}</div>',
            *(_values_html(text, self.unit) for column in self.columns for text in column),
        ]
        dark = f"@media screen and (prefers-color-scheme: dark) {{\n{style_scale(WARM_DARK, 'w')}\n}}"
        return html_page(
            self.title, "\n".join(body), f"{style_scale(WARM_LIGHT, 'w')}\n{dark}\ntable {{ margin: 1rem 0 }}"
        )

    def to_png(self) -> list[bytes]:
        """Return the pages as PNG files, `LINES_PER_PAGE` lines of text on a page."""
        width = _COLUMN_WIDTH[min(len(self.columns), 2)]
        columns = [self._column_lines(column, width) for column in self.columns]
        starts = range(0, max(len(lines) for lines in columns), LINES_PER_PAGE)
        pages = [[lines[start : start + LINES_PER_PAGE] for lines in columns] for start in starts]
        labels = [f"page {at} of {len(pages)}" if len(pages) > 1 else "" for at in range(1, len(pages) + 1)]
        return [self._draw_page(page, width, label) for page, label in zip(pages, labels, strict=True)]

    def _step_classes(self, text: SignedText) -> list[str]:
        return [
            f"{'w' if value >= 0 else 'v'}{step}"
            for value, step in zip(text.added.tolist(), self._steps(text), strict=True)
        ]

    def _steps(self, text: SignedText) -> list[int]:
        return find_colour_steps(np.abs(text.added), self.largest).tolist()

    def _colours(self, text: SignedText) -> list[str]:
        return [
            (WARM_LIGHT if value >= 0 else LIGHT)[step]
            for value, step in zip(text.added.tolist(), self._steps(text), strict=True)
        ]

    def _text_html(self, text: SignedText) -> str:
        shaded = shade_words(text.text, self._step_classes(text), text.titles)
        return f"<section>\n<h2>{escape_html(text.caption)}</h2>\n{shaded}\n</section>"

    def _bar_html(self) -> str:
        names = [f"v{step}" for step in range(STEPS - 1, 0, -8)] + [f"w{step}" for step in range(0, STEPS, 8)]
        steps = "".join(f'<span class="{name}"></span>' for name in names)
        ticks = f"<span>{-self.largest:.3g}</span><span>0</span><span>+{self.largest:.3g}</span>"
        label = f"Colour scale from {-self.largest:.3g} to {self.largest:.3g}"
        return (
            f'<div class="legend">\n<div class="bar" role="img" aria-label="{label}">{steps}</div>\n'
            f'<div class="ticks">{ticks}</div>\n<p class="soft">{escape_html(self.unit)}</p>\n</div>'
        )

    def _column_lines(self, column: Sequence[SignedText], width: float) -> list[_Line]:
        """Return the lines of a column, a caption before the words of each text."""
        lines = []
        for text in column:
            lines.append(_Line(text.caption, [], []))
            colours = self._colours(text)
            lines += [
                _Line("", words, colours) for words in break_lines(text.text, width, make_text_ruler(TEXT_POINTS))
            ]
        return lines

    def _draw_page(self, columns: Sequence[Sequence[_Line]], column: float, page_label: str) -> bytes:
        width = 2 * _MARGIN + len(columns) * column + (len(columns) - 1) * _GAP
        figure, axes = new_sheet(width, _HEADER_HEIGHT + max(map(len, columns)) * LINE_HEIGHT + _MARGIN)
        self._draw_header(figure, axes, page_label)
        for at, lines in enumerate(columns):
            left = _MARGIN + at * (column + _GAP)
            for row, line in enumerate(lines):
                top = _HEADER_HEIGHT + row * LINE_HEIGHT
                if line.caption:
                    write_text(axes, left, top + 0.185, clip_text(line.caption, column, 9.0), colour=CAPTION_COLOUR)
                draw_shaded_line(axes, left, top, line.words, line.colours)
        return encode_png(figure, self.title)

    def _draw_header(self, figure: Figure, axes: Axes, page_label: str) -> None:
        width, height = figure.get_size_inches()
        title_width = width - 2 * _MARGIN - _BAR_WIDTH - _GAP
        write_text(axes, _MARGIN, 0.37, clip_text(self.title, title_width, 11.0), 10.5, weight="bold")
        write_text(axes, _MARGIN, 0.57, page_label, colour=CAPTION_COLOUR)
        bar = figure.add_axes(
            ((width - _MARGIN - _BAR_WIDTH) / width, 1.0 - 0.46 / height, _BAR_WIDTH / width, 0.12 / height),
            label="scale",
        )
        largest = self.largest or 1.0
        scale = ScalarMappable(Normalize(-largest, largest), ListedColormap(_BOTH_SIDES))
        drawn = figure.colorbar(scale, cax=bar, orientation="horizontal")
        drawn.outline.set_visible(False)
        drawn.ax.tick_params(length=2, labelsize=7.5, pad=1.5)
        drawn.ax.set_title(self.unit, fontproperties=font_of_size(8.0), pad=3)


def _values_html(text: SignedText, unit: str) -> str:
    words = (text.text[start:stop] for start, stop in word_spans(text.text).tolist())
    rows = [[word, f"{value:+.4f}", title] for word, value, title in zip(words, text.added, text.titles, strict=True)]
    table = html_table(["word", unit, "of which"], rows)
    return f"<details>\n<summary>{escape_html(f'Values: {text.caption}')}</summary>\n{table}\n</details>"
