"""A predictor against human readers: one scatter for each measure, a point for each word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.eyetracking.line_layout import printable
from gazetune.gaze.evaluation import WordErrors, errors_between, predicted_words
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.sentences import read_sentences
from gazetune.pictures.canvas import DPI, SOFT, clipped, font, png
from gazetune.pictures.colours import LIGHT
from gazetune.pictures.heatmap import UNITS, unit_of
from gazetune.pictures.page import escape, page, table

_SIDE = 2.7  # inches of a panel with its labels
_HEADER = 0.55
_PLOT = 240  # units of an SVG panel without its labels
_DENSE = (1, 2, 4, 8)  # words on one spot from which the next darker colour begins
_TICKS = [1, 2, 2.5, 5, 10]
_NAMED = 5  # words that are named when a spot is pointed at
_SHADES = (40, 60, 80, 100)


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

    def pair(self, measure: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the human and the predicted values [words] of a measure."""
        column = MEASURES.index(measure)
        return self.human[:, column], self.predicted[:, column]

    def labels(self, measure: str) -> tuple[str, str]:
        """Return what stands at the axes of a panel, human and predicted."""
        return f"human ({UNITS[measure]})", f"predicted ({unit_of(self.source, measure)})"

    def errors(self, measure: str) -> WordErrors:
        """Return how far the predicted values of a measure are from the human ones."""
        human, predicted = self.pair(measure)
        return errors_between(predicted, human)

    def heading(self, measure: str) -> str:
        """Return the title of a panel."""
        errors = self.errors(measure)
        rank = "undefined" if errors["spearman"] is None else f"{errors['spearman']:.2f}"
        return f"{measure}: MAE {errors['mae']:.2f}, Spearman {rank}"

    @property
    def title(self) -> str:
        """One line that says what is seen."""
        errors = [self.errors(measure)["mae"] for measure in self.measures]
        mean = f", mean MAE {np.mean(errors):.2f}" if len(errors) > 1 else ""
        return f"{self.source} against human readers, {len(self.human):,} words of {self.data}{mean}"


def compare(predictor: GazePredictor, source: str, data_csv: Path, measures: Sequence[str] = MEASURES) -> Comparison:
    """Return a predictor's measures of the words of a CMCL-format CSV beside those of its readers.

    Raises
    ------
    InputError
        If the CSV cannot be used (see `read_sentences`), or the predictor refuses a sentence.
    """
    data = read_sentences(data_csv)
    predicted = predicted_words(predictor, data)
    words = tuple(word for text in data.texts for word in text.split())
    return Comparison(tuple(measures), words, data.values, predicted, source, printable(data_csv.name))


def comparison_png(picture: Comparison) -> bytes:
    """Return the picture as a PNG file: up to three panels in a row, both axes of a panel on one scale."""
    across, down = _grid(len(picture.measures))
    width, height = across * _SIDE + 0.2, down * _SIDE + _HEADER
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    size = 9.5 if across == 3 else 6.0
    title = clipped(picture.title, 0.9 * (width - 0.3), size)  # bold is wider than what is measured
    figure.text(0.15 / width, 1 - 0.3 / height, title, fontproperties=font(size, "bold"), parse_math=False)
    opacity = float(np.clip(10.0 / np.sqrt(len(picture.human)), 0.1, 0.7))  # many words show where they are dense
    for place, measure in enumerate(picture.measures):
        left, top = (place % across) * _SIDE + 0.55, _HEADER + (place // across) * _SIDE + 0.2
        side = _SIDE - 0.75
        axes = figure.add_axes((left / width, 1 - (top + side) / height, side / width, side / height), label=measure)
        human, predicted = picture.pair(measure)
        end = _end(human, predicted)
        axes.plot([0, end], [0, end], color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=3)
        axes.scatter(human, predicted, s=5, color=LIGHT[90], alpha=opacity, linewidths=0, zorder=2)
        axes.set(xlim=(0, end), ylim=(0, end))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=_TICKS))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=_TICKS))
        axes.tick_params(length=2.5, labelsize=7, color=SOFT)
        axes.spines[["top", "right"]].set_visible(False)
        across_label, up_label = picture.labels(measure)
        axes.set_xlabel(across_label, fontproperties=font(8.0), labelpad=2)
        axes.set_ylabel(up_label, fontproperties=font(8.0), labelpad=2)
        axes.set_title(picture.heading(measure), fontproperties=font(8.0), pad=5)
    return png(figure, picture.title)


def comparison_html(picture: Comparison) -> str:
    """Return the picture as an HTML document with the errors in a table."""
    rows = []
    for measure in picture.measures:
        errors = picture.errors(measure)
        rank = "undefined" if errors["spearman"] is None else f"{errors['spearman']:.3f}"
        rows.append((measure, f"{errors['mae']:.3f}", rank))
    panels = "\n".join(_panel(picture, measure) for measure in picture.measures)
    return page(
        picture.title,
        f"<h1>{escape(picture.title)}</h1>\n"
        f'<p class="soft">A point is a word, a darker one several; pointing at it names them. '
        f"On the dashed line both agree.</p>\n"
        f'<div class="panels">\n{panels}\n</div>\n{table(("measure", "MAE", "Spearman"), rows)}',
    )


def _grid(panels: int) -> tuple[int, int]:
    across = min(panels, 3)
    return across, -(-panels // across)


def _end(human: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    return (float(max(human.max(), predicted.max())) or 1.0) * 1.02


def _panel(picture: Comparison, measure: str) -> str:
    heading = escape(picture.heading(measure))
    human, predicted = picture.pair(measure)
    end = _end(human, predicted)
    across, up = (escape(label) for label in picture.labels(measure))
    ticks = []
    for tick in MaxNLocator(5, steps=_TICKS).tick_values(0.0, end):
        if 0.0 <= tick <= end:
            place = tick / end * _PLOT
            ticks.append(f'<text x="{40 + place:.1f}" y="{_PLOT + 26}" text-anchor="middle">{tick:g}</text>')
            ticks.append(f'<text x="34" y="{_PLOT + 14 - place:.1f}" text-anchor="end">{tick:g}</text>')
    return (
        f'<section>\n<h2>{heading}</h2>\n<svg viewBox="0 0 {_PLOT + 50} {_PLOT + 44}" role="img" '
        f'aria-label="{heading}" font-size="10">\n'
        f'<path d="M40 10V{_PLOT + 10}H{_PLOT + 40}" fill="none" stroke="var(--line)"/>\n'
        f'<path d="M40 {_PLOT + 10}L{_PLOT + 40} 10" stroke="var(--soft)" stroke-dasharray="5 4"/>\n'
        f"{_points(picture.words, human, predicted, end)}\n{''.join(ticks)}\n"
        f'<text x="{_PLOT / 2 + 40}" y="{_PLOT + 40}" text-anchor="middle">{across}</text>\n'
        f'<text transform="translate(10 {_PLOT / 2 + 10}) rotate(-90)" text-anchor="middle">{up}</text>\n'
        f"</svg>\n</section>"
    )


def _points(words: Sequence[str], human: NDArray[np.float64], predicted: NDArray[np.float64], end: float) -> str:
    """Return the words as dots on whole units, one for each spot, which says its words when it is pointed at."""
    x = np.rint(40 + human / end * _PLOT).astype(int).tolist()
    y = np.rint(10 + (1.0 - predicted / end) * _PLOT).astype(int).tolist()
    spots: dict[tuple[int, int], list[str]] = defaultdict(list)
    for place, word, told, said in zip(zip(x, y, strict=True), words, human.tolist(), predicted.tolist(), strict=True):
        spots[place].append(f"{word}: human {told:.2f}, predicted {said:.2f}")
    shades: dict[int, list[str]] = defaultdict(list)
    for (left, top), lines in spots.items():
        shade = _SHADES[int(np.searchsorted(_DENSE, len(lines), side="right")) - 1]
        more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
        title = "\n".join(escape(line) for line in [*lines[:_NAMED], *more])
        shades[shade].append(f'<path d="M{left} {top}h0"><title>{title}</title></path>')
    return "\n".join(
        f'<g class="v{shade}" stroke-width="3" stroke-linecap="round">{"".join(dots)}</g>'
        for shade, dots in sorted(shades.items())
    )
