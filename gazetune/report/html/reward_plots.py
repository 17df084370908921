"""The rewards of saved models pair by pair: how sure they are, how they lie, and whether they follow length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from gazetune.evaluate.statistics import LengthBias, Reliability, measure_length_bias, measure_reliability
from gazetune.report.evidence import ScoredRun
from gazetune.report.html.figure import BLUE, GREEN, LINE, ORANGE, SOFT, new_figure
from gazetune.report.html.section import Section, Table
from gazetune.report.wording import format_interval, format_percent

_BINS = 24
_NO_MARGINS = "no reward of a saved model was kept pair by pair"


def reward_sections(scored: Sequence[ScoredRun]) -> list[Section]:
    """Return reliability, distribution of rewards and bias by length of the first run, the winner."""
    usable = [run for run in scored if len(run.margins) and np.isfinite(run.margins).all()]
    if not usable:
        return [
            Section("reliability", "Reliability", (f"Nothing is said of it: {_NO_MARGINS}.",)),
            Section("rewards", "Distribution of rewards", (f"Nothing is said of it: {_NO_MARGINS}.",)),
            Section("length", "Length bias", (f"Nothing is said of it: {_NO_MARGINS}.",)),
        ]
    return [_reliability_section(usable[0]), _rewards_section(usable[0]), _length_section(usable)]


def _describe(run: ScoredRun) -> str:
    return f"Of {run.label}, on {len(run.margins)} {run.split} pairs."


def _reliability_section(run: ScoredRun) -> Section:
    found = measure_reliability(run.margins)
    rows = [
        [format_percent(each.confidence), format_percent(each.accuracy), format_interval(each.ci95), str(each.n)]
        for each in found.bins
    ]
    text = (
        f"{_describe(run)} The reply with the higher reward is the preferred one with probability sigmoid(margin); on "
        f"the dotted line that is how often it is. Calibration error {format_percent(found.error)} points.",
    )
    return Section(
        "reliability",
        "Reliability",
        text,
        lambda: _draw_reliability(found),
        "How often the winner is right against how sure its rewards are",
        Table(["sure %", "right %", "95 % interval", "pairs"], rows),
    )


def _draw_reliability(found: Reliability) -> Figure:
    figure = new_figure(2.9)
    axes = figure.subplots()
    x = [100 * each.confidence for each in found.bins]
    y = [100 * each.accuracy for each in found.bins]
    for place, each in zip(x, found.bins, strict=True):
        axes.plot([place, place], [100 * end for end in each.ci95], color=BLUE, linewidth=1.6)
    axes.plot(x, y, "o", color=BLUE, markersize=4.5)
    axes.plot([50, 100], [50, 100], color=SOFT, linewidth=0.9, linestyle=":", zorder=0)
    axes.set_xlim(min(49.0, min(x) - 1), max(x) + 2)
    axes.set_xlabel("probability by the rewards, %")
    axes.set_ylabel("right, %")
    axes.grid(color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    return figure


def _rewards_section(run: ScoredRun) -> Section:
    title = "Distribution of rewards"
    parts = [("margin", run.margins)]
    if run.rewards is not None:
        parts += [("chosen", run.rewards[:, 0]), ("rejected", run.rewards[:, 1])]
    rows = [
        ["mean", *(f"{values.mean():.3g}" for _, values in parts)],
        ["standard deviation", *(f"{values.std():.3g}" for _, values in parts)],
    ]
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        rows.append([f"{100 * share:.0f} % are below", *(f"{np.quantile(values, share):.3g}" for _, values in parts)])
    head = ["", *(name for name, _ in parts)]
    text = (
        f"{_describe(run)} A margin is the reward of the chosen less that of the rejected reply; below 0 it is wrong."
    )
    if run.rewards is None:
        text += " The rewards themselves were not kept, the margins alone."
    label = "Histogram of the rewards" if run.rewards is not None else "Histogram of the margins"
    return Section("rewards", title, (text,), lambda: _draw_rewards(run), label, Table(head, rows))


def _draw_rewards(run: ScoredRun) -> Figure:
    panels = [("margin", [(run.margins, BLUE, "")])]
    if run.rewards is not None:
        panels.append(("reward", [(run.rewards[:, 0], GREEN, "chosen"), (run.rewards[:, 1], ORANGE, "rejected")]))
    figure = new_figure(1.75 * len(panels) + 0.1)
    for axes, (name, parts) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        edges = np.histogram_bin_edges(np.concatenate([values for values, _, _ in parts]), _BINS)
        for values, colour, label in parts:
            counts, _ = np.histogram(values, edges)
            axes.stairs(
                counts, edges, color=colour, fill=len(parts) == 1, alpha=0.85, linewidth=1.6, label=label or None
            )
        if name == "margin":
            axes.axvline(0.0, color=SOFT, linewidth=0.9, linestyle=":")
        else:
            axes.legend(loc="upper right")
        axes.set_xlabel(name)
        axes.set_ylabel("pairs" if name == "margin" else "replies")
    return figure


def _length_section(scored: Sequence[ScoredRun]) -> Section:
    title = "Length bias"
    run = next((each for each in scored if each.words is not None), None)
    if run is None or run.words is None:
        return Section("length", title, ("Nothing is said of it: the lengths of the replies were not kept.",))
    found = measure_length_bias(run.margins, run.words)
    rows = [
        [_describe_words(each.words), format_percent(each.accuracy), format_interval(each.ci95), str(each.n)]
        for each in found.bins
    ]
    text = (
        f"{_describe(run)} Of pairs whose replies differ in length it prefers the longer one on "
        f"{format_percent(found.prefers_longer)} %, the labels on {format_percent(found.labels_prefer_longer)} %.",
    )
    return Section(
        "length",
        title,
        text,
        lambda: _draw_length(found),
        "Accuracy by how much longer the chosen reply is",
        Table(["chosen longer by, words", "right %", "95 % interval", "pairs"], rows),
    )


def _describe_words(ends: tuple[int, int]) -> str:
    return f"{ends[0]:+d}" if ends[0] == ends[1] else f"{ends[0]:+d} to {ends[1]:+d}"


def _draw_length(found: LengthBias) -> Figure:
    figure = new_figure(2.6)
    axes = figure.subplots()
    for place, each in enumerate(found.bins):
        axes.plot([place, place], [100 * end for end in each.ci95], color=BLUE, linewidth=1.6)
        axes.plot([place], [100 * each.accuracy], "o", color=BLUE, markersize=4.5)
    axes.axhline(50, color=SOFT, linewidth=0.9, linestyle=":")
    names = [_describe_words(each.words) for each in found.bins]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlabel("the chosen reply is longer by, words")
    axes.set_ylabel("right, %")
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    return figure
