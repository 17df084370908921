"""Winner, baselines and controls on the same test pairs, with intervals: a forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.report.document import SearchDocument
from gazetune.report.html.figure import BLUE, INK, LINE, ORANGE, PURPLE, SOFT, clip_label, new_figure
from gazetune.report.html.section import Section, Table
from gazetune.report.wording import BASELINE_TITLES, format_interval, format_percent, format_points

_MOST_ROWS = 40
"""Rows of a forest plot; the table beside it has all."""


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """A value with its interval, both as shares."""

    label: str
    value: float
    low: float
    high: float
    colour: str = BLUE
    points: Sequence[float] = ()
    """Drawn below it, such as one for each seed."""


def compared_section(document: SearchDocument) -> Section:
    """Return the accuracies on test and what the winner is better by."""
    title = "On the test pairs"
    best = document.best
    if best is None or best.test is None:
        why = "there is no best trial" if best is None else "the best trial was not evaluated on them"
        return Section("intervals", title, (f"Nothing was compared on the test pairs: {why}.",))
    accuracies = [IntervalRow(f"winner, trial {best.id}", best.test.accuracy, *best.test.ci95, colour=ORANGE)]
    differences = []
    table = [[accuracies[0].label, f"{format_percent(best.test.accuracy)} ({format_interval(best.test.ci95)})", "", ""]]
    compared = [(BASELINE_TITLES.get(name, name), record, BLUE) for name, record in document.baselines.items()]
    compared += [(f"control {name}", record.test, PURPLE) for name, record in document.controls.items()]
    for label, record, colour in compared:
        if record is None:
            table.append([label, "-", "-", ""])
            continue
        accuracies.append(IntervalRow(label, record.accuracy, *record.ci95, colour=colour))
        differences.append(IntervalRow(label, record.difference, *record.difference_ci95, colour=colour))
        table.append(
            [
                label,
                f"{format_percent(record.accuracy)} ({format_interval(record.ci95)})",
                format_points(record.difference, record.difference_ci95),
                "-" if record.p is None else f"{record.p:.2g}",
            ]
        )
    head = ["run", "accuracy % (95 % interval)", "winner minus it, points (95 % interval)", "p"]
    text = (
        f"Each answers on the same {best.test.n} test pairs, which no trial saw. The difference is paired, "
        "pair by pair. p is two-sided and not adjusted for several comparisons.",
    )
    return Section(
        "intervals",
        title,
        text,
        lambda: draw_intervals(
            [("accuracy on test, %", accuracies, 0.5), ("winner minus it, points", differences, 0.0)]
        ),
        "Accuracies on the test pairs and differences from the winner, with 95 % intervals",
        Table(head, table),
    )


def draw_intervals(panels: Sequence[tuple[str, Sequence[IntervalRow], float]]) -> Figure:
    """Draw panels one below the other, each with a title, its rows, and a value to compare them with."""
    shown = [(title, rows[:_MOST_ROWS], at) for title, rows, at in panels if rows]
    heights = [0.5 + 0.3 * len(rows) for _, rows, _ in shown]
    figure = new_figure(sum(heights) + 0.2)
    panels_axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, rows, at) in zip(panels_axes, shown, strict=True):
        _draw_panel(axes, title, rows, at)
    return figure


def _draw_panel(axes: Axes, title: str, rows: Sequence[IntervalRow], at: float) -> None:
    axes.axvline(100 * at, color=SOFT, linewidth=0.8, linestyle=":")
    for place, row in enumerate(rows):
        low, value, high = 100 * row.low, 100 * row.value, 100 * row.high
        axes.plot([low, high], [place, place], color=row.colour, linewidth=2.5, solid_capstyle="round")
        axes.plot([value], [place], "o", color=row.colour, markersize=5)
        axes.plot([100 * each for each in row.points], [place + 0.24] * len(row.points), ".", color=SOFT, markersize=3)
        axes.annotate(
            f"{value:.1f}" if at else f"{value:+.1f}",
            (value, place),
            (0, 5),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=8.5,
        )
    axes.set_yticks(range(len(rows)), [clip_label(row.label) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.75)
    axes.set_title(title)
    axes.margins(x=0.08)
    axes.grid(axis="x", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
