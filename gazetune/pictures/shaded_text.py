"""Words on coloured grounds, as HTML and on a PNG sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from gazetune.eyetracking.text_lines import PlacedWord
from gazetune.gaze.words import word_spans
from gazetune.pictures.colours import choose_ink
from gazetune.pictures.html_page import escape_html
from gazetune.pictures.png_sheet import write_text

_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1f\x85\u2028\u2029]")  # what may stand between words and not in HTML

LINE_HEIGHT = 0.27
"""Inches of a line of text on a PNG sheet."""
TEXT_POINTS = 11.0
_WORD_PADDING = 0.028


def shade_words(text: str, classes: Sequence[str], titles: Sequence[str]) -> str:
    """Return a text as HTML: each of its words has a class, which colours it, and a title, shown when pointed at."""
    parts, end = [], 0
    for (start, stop), name, title in zip(word_spans(text).tolist(), classes, titles, strict=True):
        parts.append(_LINE_BREAK.sub("\n", text[end:start]))
        parts.append(f'<span class="{name}" title="{escape_html(title)}">{escape_html(text[start:stop])}</span>')
        end = stop
    return f'<div class="text" lang="" dir="auto">{"".join(parts)}</div>'


def draw_shaded_line(axes: Axes, left: float, top: float, words: Sequence[PlacedWord], colours: Sequence[str]) -> None:
    """Draw a line of words at inches from the upper left corner; `colours` are the grounds of all words of the text."""
    for word in words:
        colour = colours[word.index]
        axes.add_patch(
            FancyBboxPatch(
                (left + word.left - _WORD_PADDING, top + 0.015),
                word.width + 2 * _WORD_PADDING,
                LINE_HEIGHT - 0.03,
                boxstyle="round,pad=0,rounding_size=0.035",
                facecolor=colour,
                linewidth=0.0,
            )
        )
        write_text(axes, left + word.left, top + 0.185, word.text, TEXT_POINTS, choose_ink(colour))
