"""A text, or several side by side, as a heat map: every word shaded by one of its measures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.words import word_spans
from gazetune.pictures.colours import find_colour_steps
from gazetune.pictures.html_page import escape_html, html_page, html_table

_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1f\x85\u2028\u2029]")  # what may stand between words and not in HTML

MEASURE_TITLES = {
    "nFix": "number of fixations",
    "FFD": "first fixation duration",
    "GPT": "go-past time",
    "TRT": "total reading time",
    "fixProp": "share of readers who fixated",
}
"""What the names of the measures stand for."""

MEASURE_UNITS = {
    "nFix": "100 = 7.25 fixations",
    "FFD": "1 = 48.5 ms",
    "GPT": "1 = 48.5 ms",
    "TRT": "1 = 48.5 ms",
    "fixProp": "% of readers",
}
"""What a value means, in measured words and from a predictor of their unit (see `predicted_unit`)."""

# Predictors whose values have another unit.
_OTHER_UNITS = {"recorded": "unit of the recording", "bilstm": "level 0 to 11"}


def predicted_unit(predictor: str, measure: str) -> str:
    """Return what a value of a measure means that the predictor of that name gives.

    Examples
    --------
    >>> predicted_unit("lexical", "TRT"), predicted_unit("recorded", "TRT")
    ('1 = 48.5 ms', 'unit of the recording')
    """
    return _OTHER_UNITS.get(predictor, MEASURE_UNITS[measure])


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


def heatmap_html(heatmap: HeatMap) -> str:
    """Return the picture as an HTML document; a word's five measures show when it is pointed at, and in a table."""
    prompt = f'<div class="text prompt" dir="auto">{escape_html(heatmap.note)}</div>'
    body = [
        f"<h1>{escape_html(heatmap.title)}</h1>",
        f"<details open>\n<summary>Prompt</summary>\n{prompt}\n</details>" if heatmap.note else "",
        _colour_bar_html(heatmap),
        '<div class="panels">',
        *(_panel_html(heatmap, panel) for panel in heatmap.panels),
        "</div>",
        *(_values_html(panel) for panel in heatmap.panels),
    ]
    return html_page(heatmap.title, "\n".join(part for part in body if part))


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
    parts, end = [], 0
    words = zip(word_spans(panel.text).tolist(), panel.values.tolist(), heatmap.colour_steps(panel), strict=True)
    for (start, stop), values, step in words:
        measures = ", ".join(f"{name} {value:.2f}" for name, value in zip(MEASURES, values, strict=True))
        parts.append(_LINE_BREAK.sub("\n", panel.text[end:start]))
        parts.append(f'<span class="v{step}" title="{measures}">{escape_html(panel.text[start:stop])}</span>')
        end = stop
    heading = escape_html(heatmap.describe_panel(panel))
    return f'<section>\n<h2>{heading}</h2>\n<div class="text" lang="" dir="auto">{"".join(parts)}</div>\n</section>'


def _values_html(panel: Panel) -> str:
    words = (panel.text[start:stop] for start, stop in word_spans(panel.text).tolist())
    rows = [[word, *(f"{value:.2f}" for value in row)] for word, row in zip(words, panel.values, strict=True)]
    caption = f"Values: {panel.caption}" if panel.caption else "Values"
    return f"<details>\n<summary>{escape_html(caption)}</summary>\n{html_table(['word', *MEASURES], rows)}\n</details>"
