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
from gazetune.gaze.word_measures import word_measures
from gazetune.gaze.words import word_spans
from gazetune.pictures.colours import levels
from gazetune.pictures.page import escape, page, table

_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1f\x85\u2028\u2029]")  # what may stand between words and not in HTML

TITLES = {
    "nFix": "number of fixations",
    "FFD": "first fixation duration",
    "GPT": "go-past time",
    "TRT": "total reading time",
    "fixProp": "share of readers who fixated",
}
"""What the names of the measures stand for."""

UNITS = {
    "nFix": "100 = 7.25 fixations",
    "FFD": "1 = 48.5 ms",
    "GPT": "1 = 48.5 ms",
    "TRT": "1 = 48.5 ms",
    "fixProp": "% of readers",
}
"""What a value means, in measured words and from a predictor of their unit (see `unit_of`)."""

_OTHER_UNITS = {"recorded": "unit of the recording", "bilstm": "level 0 to 11"}


def unit_of(predictor: str, measure: str) -> str:
    """Return what a value of a measure means that the predictor of that name gives."""
    return _OTHER_UNITS.get(predictor, UNITS[measure])


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
    def top(self) -> float:
        """The value that gets the last colour."""
        return max(float(self.shown(panel).max()) for panel in self.panels)

    @property
    def title(self) -> str:
        """One line that says what is seen."""
        return f"{self.measure} ({TITLES[self.measure]}), {self.source}"

    def shown(self, panel: Panel) -> NDArray[np.float64]:
        """Return the values [words] of the measure that is drawn."""
        return panel.values[:, MEASURES.index(self.measure)]

    def levels(self, panel: Panel) -> list[int]:
        """Return the step of the colour scale of each word, 0..100."""
        return levels(self.shown(panel), self.top).tolist()

    def heading(self, panel: Panel) -> str:
        """Return a panel's caption with its number of words and the mean of the measure over them."""
        facts = f"{len(panel.values)} words, mean {self.measure} {self.shown(panel).mean():.2f}"
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
        Panel(caption, text, word_measures(gaze, len(word_spans(text))))
        for (caption, text), gaze in zip(texts.items(), predicted, strict=True)
    )


def heatmap_html(picture: HeatMap) -> str:
    """Return the picture as an HTML document; a word's five measures show when it is pointed at, and in a table."""
    note = (
        f'<details open>\n<summary>Prompt</summary>\n<div class="text prompt" dir="auto">{escape(picture.note)}</div>\n'
    )
    body = [
        f"<h1>{escape(picture.title)}</h1>",
        f"{note}</details>" if picture.note else "",
        _colour_bar(picture),
        '<div class="panels">',
        *(_section(picture, panel) for panel in picture.panels),
        "</div>",
        *(_values(panel) for panel in picture.panels),
    ]
    return page(picture.title, "\n".join(part for part in body if part))


def _colour_bar(picture: HeatMap) -> str:
    steps = "".join(f'<span class="v{level}"></span>' for level in range(0, 101, 4))
    ticks = "".join(f"<span>{share * picture.top:.3g}</span>" for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    label = f"{picture.measure}, {picture.unit}"
    return (
        '<div class="legend">\n'
        f'<div class="bar" role="img" aria-label="Colour scale from 0 to {picture.top:.3g}">{steps}</div>\n'
        f'<div class="ticks">{ticks}</div>\n<p class="soft">{escape(label)}</p>\n</div>'
    )


def _section(picture: HeatMap, panel: Panel) -> str:
    parts, end = [], 0
    words = zip(word_spans(panel.text).tolist(), panel.values.tolist(), picture.levels(panel), strict=True)
    for (start, stop), values, level in words:
        told = ", ".join(f"{name} {value:.2f}" for name, value in zip(MEASURES, values, strict=True))
        parts.append(_BREAK.sub("\n", panel.text[end:start]))
        parts.append(f'<span class="v{level}" title="{told}">{escape(panel.text[start:stop])}</span>')
        end = stop
    heading = escape(picture.heading(panel))
    return f'<section>\n<h2>{heading}</h2>\n<div class="text" lang="" dir="auto">{"".join(parts)}</div>\n</section>'


def _values(panel: Panel) -> str:
    words = (panel.text[start:stop] for start, stop in word_spans(panel.text).tolist())
    rows = [[word, *(f"{value:.2f}" for value in row)] for word, row in zip(words, panel.values, strict=True)]
    caption = f"Values: {panel.caption}" if panel.caption else "Values"
    return f"<details>\n<summary>{escape(caption)}</summary>\n{table(['word', *MEASURES], rows)}\n</details>"
