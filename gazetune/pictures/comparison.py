"""A predictor against human readers: one scatter for each measure, a point for each word.

The HTML twin is drawn by hand for what matplotlib's SVG cannot do (see `html_page`); its ticks are matplotlib's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.eyetracking.text_lines import replace_unprintable
from gazetune.gaze.evaluation import MeasureErrors, compute_errors, predict_sentences
from gazetune.gaze.measured_sentences import read_measured_sentences
from gazetune.gaze.measures import GazePredictor
from gazetune.pictures.colours import LIGHT
from gazetune.pictures.html_page import escape_html, html_page, html_table
from gazetune.pictures.measure_units import MEASURE_UNITS, predicted_unit
from gazetune.pictures.png_sheet import CAPTION_COLOUR, DPI, clip_text, encode_png, font_of_size

_PANEL_SIDE = 2.7  # inches of a panel with its labels
_HEADER_HEIGHT = 0.55  # inches
_SVG_SIDE = 240  # units of an SVG panel without its labels
_TICK_STEPS = [1, 2, 2.5, 5, 10]
_DENSITIES = (1, 2, 4, 8)  # words on one spot from which the next darker colour begins
_DENSITY_STEPS = (40, 60, 80, 100)  # of the colour scale
_MOST_NAMED = 5  # words that are named when a spot is pointed at


@dataclass(frozen=True, slots=True)
class Comparison:
    """Measured and predicted words."""

    measures: tuple[str, ...]
    """Those that are drawn."""
    words: tuple[str, ...]
    human: NDArray[np.float64]
    """[words, 5] means over readers."""
    predicted: NDArray[np.float64]
    """[words, 5]."""
    source: str
    """Name of the predictor."""
    data: str
    """Name of the file of measured words."""

    def values_of(self, measure: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the human and the predicted values [words] of a measure."""
        column = MEASURES.index(measure)
        return self.human[:, column], self.predicted[:, column]

    def axis_labels(self, measure: str) -> tuple[str, str]:
        """Return what stands at the axes of a panel, human and predicted."""
        return f"human ({MEASURE_UNITS[measure]})", f"predicted ({predicted_unit(self.source, measure)})"

    def errors_of(self, measure: str) -> MeasureErrors:
        """Return how far the predicted values of a measure are from the human ones."""
        human, predicted = self.values_of(measure)
        return compute_errors(predicted, human)

    def panel_title(self, measure: str) -> str:
        """Return the title of a panel."""
        errors = self.errors_of(measure)
        rank = "undefined" if errors["spearman"] is None else f"{errors['spearman']:.2f}"
        return f"{measure}: MAE {errors['mae']:.2f}, Spearman {rank}"

    @property
    def title(self) -> str:
        """One line that says what is seen."""
        errors = [self.errors_of(measure)["mae"] for measure in self.measures]
        mean = f", mean MAE {np.mean(errors):.2f}" if len(errors) > 1 else ""
        return f"{self.source} against human readers, {len(self.human):,} words of {self.data}{mean}"

    def to_png(self) -> list[bytes]:
        """Return one PNG file: up to three panels in a row, both axes of a panel on one scale."""
        count = len(self.measures)
        across = min(count, 3)
        down = -(-count // across)
        width, height = across * _PANEL_SIDE + 0.2, down * _PANEL_SIDE + _HEADER_HEIGHT
        figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
        size = 9.5 if across == 3 else 6.0
        title = clip_text(self.title, 0.9 * (width - 0.3), size)  # bold is wider than what is measured
        figure.text(0.15 / width, 1 - 0.3 / height, title, fontproperties=font_of_size(size, "bold"), parse_math=False)
        for index, measure in enumerate(self.measures):
            left = (index % across) * _PANEL_SIDE + 0.55
            top = _HEADER_HEIGHT + (index // across) * _PANEL_SIDE + 0.2
            side = _PANEL_SIDE - 0.75
            axes = figure.add_axes(
                (left / width, 1 - (top + side) / height, side / width, side / height), label=measure
            )
            _draw_panel(axes, self, measure)
        return [encode_png(figure, self.title)]

    def to_html(self) -> str:
        """Return an HTML document with the errors in a table."""
        rows = []
        for measure in self.measures:
            errors = self.errors_of(measure)
            rank = "undefined" if errors["spearman"] is None else f"{errors['spearman']:.3f}"
            rows.append((measure, f"{errors['mae']:.3f}", rank))
        panels = "\n".join(_panel_html(self, measure) for measure in self.measures)
        return html_page(
            self.title,
            f"<h1>{escape_html(self.title)}</h1>\n"
            f'<p class="soft">A point is a word, a darker one several; pointing at it names them. '
            f"On the dashed line both agree.</p>\n"
            f'<div class="panels">\n{panels}\n</div>\n{html_table(("measure", "MAE", "Spearman"), rows)}',
        )


def compare_words(
    predictor: GazePredictor, source: str, data_csv: Path, measures: Sequence[str] = MEASURES
) -> Comparison:
    """Return a predictor's measures of the words of a CMCL-format CSV beside those of its readers.

    Raises
    ------
    InputError
        If the CSV cannot be used (see `read_measured_sentences`), or the predictor refuses a sentence.
    """
    data = read_measured_sentences(data_csv)
    predicted = predict_sentences(predictor, data)
    words = tuple(word for text in data.texts for word in text.split())
    return Comparison(tuple(measures), words, data.values, predicted, source, replace_unprintable(data_csv.name))


def _draw_panel(axes: Axes, comparison: Comparison, measure: str) -> None:
    human, predicted = comparison.values_of(measure)
    end = _find_axis_end(human, predicted)
    opacity = float(np.clip(10.0 / np.sqrt(len(human)), 0.1, 0.7))  # many words show where they are dense
    axes.plot([0, end], [0, end], color=CAPTION_COLOUR, linewidth=0.8, linestyle=(0, (4, 3)), zorder=3)
    axes.scatter(human, predicted, s=5, color=LIGHT[90], alpha=opacity, linewidths=0, zorder=2)
    axes.set(xlim=(0, end), ylim=(0, end))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=_TICK_STEPS))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=_TICK_STEPS))
    axes.tick_params(length=2.5, labelsize=7, color=CAPTION_COLOUR)
    axes.spines[["top", "right"]].set_visible(False)
    human_label, predicted_label = comparison.axis_labels(measure)
    axes.set_xlabel(human_label, fontproperties=font_of_size(8.0), labelpad=2)
    axes.set_ylabel(predicted_label, fontproperties=font_of_size(8.0), labelpad=2)
    axes.set_title(comparison.panel_title(measure), fontproperties=font_of_size(8.0), pad=5)


def _find_axis_end(human: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Return the end of both axes: a little beyond the highest value."""
    return (float(max(human.max(), predicted.max())) or 1.0) * 1.02


def _panel_html(comparison: Comparison, measure: str) -> str:
    heading = escape_html(comparison.panel_title(measure))
    human, predicted = comparison.values_of(measure)
    end = _find_axis_end(human, predicted)
    human_label, predicted_label = (escape_html(label) for label in comparison.axis_labels(measure))
    ticks = []
    for tick in MaxNLocator(5, steps=_TICK_STEPS).tick_values(0.0, end):
        if 0.0 <= tick <= end:
            along = tick / end * _SVG_SIDE
            ticks.append(f'<text x="{40 + along:.1f}" y="{_SVG_SIDE + 26}" text-anchor="middle">{tick:g}</text>')
            ticks.append(f'<text x="34" y="{_SVG_SIDE + 14 - along:.1f}" text-anchor="end">{tick:g}</text>')
    return (
        f'<section>\n<h2>{heading}</h2>\n<svg viewBox="0 0 {_SVG_SIDE + 50} {_SVG_SIDE + 44}" role="img" '
        f'aria-label="{heading}" font-size="10">\n'
        f'<path d="M40 10V{_SVG_SIDE + 10}H{_SVG_SIDE + 40}" fill="none" stroke="var(--line)"/>\n'
        f'<path d="M40 {_SVG_SIDE + 10}L{_SVG_SIDE + 40} 10" stroke="var(--soft)" stroke-dasharray="5 4"/>\n'
        f"{_points_svg(comparison.words, human, predicted, end)}\n{''.join(ticks)}\n"
        f'<text x="{_SVG_SIDE / 2 + 40}" y="{_SVG_SIDE + 40}" text-anchor="middle">{human_label}</text>\n'
        f'<text transform="translate(10 {_SVG_SIDE / 2 + 10}) rotate(-90)" text-anchor="middle">'
        f"{predicted_label}</text>\n"
        f"</svg>\n</section>"
    )


def _points_svg(words: Sequence[str], human: NDArray[np.float64], predicted: NDArray[np.float64], end: float) -> str:
    """Return the words as dots on whole units, one for each spot, which names its words when it is pointed at."""
    # The upper left corner of the panel is at (40, 10); y grows downwards.
    x = np.rint(40 + human / end * _SVG_SIDE).astype(int).tolist()
    y = np.rint(10 + (1.0 - predicted / end) * _SVG_SIDE).astype(int).tolist()
    spots: dict[tuple[int, int], list[str]] = defaultdict(list)
    for spot, word, read, guess in zip(zip(x, y, strict=True), words, human.tolist(), predicted.tolist(), strict=True):
        spots[spot].append(f"{word}: human {read:.2f}, predicted {guess:.2f}")
    dots_by_step: dict[int, list[str]] = defaultdict(list)
    for (left, top), lines in spots.items():
        step = _DENSITY_STEPS[int(np.searchsorted(_DENSITIES, len(lines), side="right")) - 1]
        more = [f"and {len(lines) - _MOST_NAMED} more"] if len(lines) > _MOST_NAMED else []
        title = "\n".join(escape_html(line) for line in [*lines[:_MOST_NAMED], *more])
        dots_by_step[step].append(f'<path d="M{left} {top}h0"><title>{title}</title></path>')
    return "\n".join(
        f'<g class="v{step}" stroke-width="3" stroke-linecap="round">{"".join(dots)}</g>'
        for step, dots in sorted(dots_by_step.items())
    )
