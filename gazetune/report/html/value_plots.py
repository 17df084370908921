"""What went together with good trials: importance of keys, the mean by value of each, and masks of measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

from matplotlib.figure import Figure

from gazetune.config import MEASURES
from gazetune.report.document import ImportanceRecord, MeansRecord, ValueMean
from gazetune.report.evidence import RunEvidence
from gazetune.report.html.figure import BLUE, INK, LINE, PAPER, clip_label, new_figure, shade
from gazetune.report.html.section import Section, Table
from gazetune.report.markdown import MEANS_NOTE
from gazetune.report.wording import format_percent, importance_line, mean_rows

_MOST_KEYS = 12
_MOST_MEANS = 60
"""Values in the picture of means; the table has all."""
_MOST_MASKS = 24


def importance_section(importance: ImportanceRecord) -> Section:
    """Return how much each key decided whether a trial was among the better ones."""
    title = "Importance of the searched keys"
    told = importance_line(importance)
    if not importance.shares:
        return Section("importance", title, (told or "Nothing is said of importance in this document.",))
    rows = [[name, format_percent(share)] for name, share in importance.shares.items()]
    rows += [[f"measure {name}, among the masks", format_percent(share)] for name, share in _measures(importance)]
    return Section(
        "importance",
        title,
        (told,),
        lambda: _draw_importance(importance),
        "Share of each searched key, and of each reading measure",
        Table(["key", "share %"], rows),
    )


def _measures(importance: ImportanceRecord) -> list[tuple[str, float]]:
    return list(importance.by_measure.items())


def _draw_importance(importance: ImportanceRecord) -> Figure:
    panels = [("keys, share in %", list(importance.shares.items())[:_MOST_KEYS])]
    if importance.by_measure:
        panels.append(("measures among the masks, share in %", _measures(importance)))
    heights = [0.45 + 0.22 * len(rows) for _, rows in panels]
    figure = new_figure(sum(heights) + 0.2)
    for axes, (title, rows) in zip(
        figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0], panels, strict=True
    ):
        values = [100 * share for _, share in rows]
        axes.barh(range(len(rows)), values, color=BLUE, height=0.6)
        for place, value in enumerate(values):
            axes.annotate(f"{value:.0f}", (value, place), (3, 0), textcoords="offset points", va="center", color=INK)
        axes.set_yticks(range(len(rows)), [clip_label(name) for name, _ in rows])
        axes.invert_yaxis()
        axes.set_title(title)
        axes.set_xlim(0, max(values) * 1.12 or 1.0)
        axes.tick_params(axis="y", length=0)
    return figure


def means_section(means: MeansRecord | None) -> Section:
    """Return the mean of the objective by the value of each searched key."""
    title = "Mean by value"
    if means is None or not means.means:
        why = (
            "it takes trials that were judged at the same evaluation, with one objective, and keys with several values"
        )
        return Section("means", title, (f"There are no means by value: {why}.",))
    head, *rows = mean_rows(means)
    text = [
        MEANS_NOTE,
        f"The picture: means at {means.examples} examples, with the number of trials behind each value.",
    ]
    if len(means.means) > _MOST_MEANS:
        text.append(f"The picture has the first {_MOST_MEANS} of {len(means.means)} values; the table has all.")
    label = f"Mean {means.objective} by value of each key, with 95 % intervals"
    return Section("means", title, tuple(text), lambda: _draw_means(means), label, Table(head, rows))


def _draw_means(means: MeansRecord) -> Figure:
    shown = means.means[:_MOST_MEANS]
    by_key: dict[str, list[ValueMean]] = {}
    for each in shown:
        by_key.setdefault(each.key, []).append(each)
    scale = 100 if means.objective.endswith("accuracy") else 1
    rows = len(shown) + len(by_key)
    figure = new_figure(0.6 + 0.19 * rows)
    axes = figure.subplots()
    labels: list[str] = []
    low, high = min(each.mean for each in shown), max(each.mean for each in shown)
    spread = (high - low) or abs(high) * 0.1 or 1.0
    # An interval of two trials may be wider than all means together; it goes on beyond the edge.
    limits = (scale * (low - 1.2 * spread), scale * (high + 1.2 * spread))
    for key, values in by_key.items():
        axes.annotate(
            clip_label(key), (0, len(labels)), xycoords=("axes fraction", "data"), va="center", color=INK, weight="bold"
        )
        labels.append("")
        for each in values:
            place = len(labels)
            if each.ci95 is not None:
                ends = [scale * end for end in each.ci95]
                axes.plot(ends, [place, place], color=BLUE, linewidth=2.0, solid_capstyle="butt")
            axes.plot([scale * each.mean], [place], "o", color=BLUE, markersize=4)
            labels.append(f"{clip_label(each.value)}  ({each.trials})")
    axes.set_xlim(limits)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.8)
    axes.set_xlabel(f"mean {means.objective}{', %' if scale == 100 else ''}")
    axes.grid(axis="x", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def masks_section(evidence: RunEvidence) -> Section:
    """Return which masks of reading measures were tried, and how good trials with them were."""
    title = "Masks of reading measures"
    values, where = _values_of_trials(evidence)
    masks: dict[tuple[str, ...], list[float]] = {}
    for trial in evidence.document.trials:
        features = trial.params.get("gaze.features")
        sees = trial.params.get("fusion.kind") != "none" and not trial.is_control
        if sees and isinstance(features, list | tuple) and trial.id in values:
            mask = tuple(name for name in MEASURES if name in features)
            masks.setdefault(mask, []).append(values[trial.id])
    if len(masks) < 2:
        return Section("masks", title, ("There are not two masks of measures to compare.",))
    ranked = sorted(masks.items(), key=lambda item: (-fmean(item[1]), item[0]))
    shown = ranked[:_MOST_MASKS]
    text = [
        f"Each row is a mask, the best first: its measures are filled, the more strongly the better its mean. {where}"
    ]
    if len(shown) < len(ranked):
        text.append(f"The picture has the best {len(shown)} of {len(ranked)} masks; the table has all.")
    rows = [["+".join(mask) or "none", str(len(each)), f"{100 * fmean(each):.1f}"] for mask, each in ranked]
    return Section(
        "masks",
        title,
        tuple(text),
        lambda: _draw_masks(shown),
        "Masks of reading measures, the best first",
        Table(["mask", "trials", "mean validation accuracy %"], rows),
    )


def _values_of_trials(evidence: RunEvidence) -> tuple[Mapping[str, float], str]:
    """Return the accuracy by which masks are compared, by trial, and a sentence that says which it is."""
    means = evidence.document.means
    if means is not None and evidence.objective == "val/accuracy":
        at = {curve.trial: dict(curve.points) for curve in evidence.curves}
        values = {trial: points[means.examples] for trial, points in at.items() if means.examples in points}
        if values:
            return values, f"Means are of the validation accuracy at {means.examples} examples, of all trials with it."
    complete = {
        trial.id: trial.val_accuracy
        for trial in evidence.document.trials
        if trial.state == "COMPLETE" and trial.val_accuracy is not None and math.isfinite(trial.val_accuracy)
    }
    return complete, "Means are of the validation accuracy of COMPLETE trials."


def _draw_masks(masks: list[tuple[tuple[str, ...], list[float]]]) -> Figure:
    means = [fmean(values) for _, values in masks]
    low, high = min(means), max(means)
    figure = new_figure(0.55 + 0.2 * len(masks))
    axes = figure.subplots()
    for row, ((mask, values), mean) in enumerate(zip(masks, means, strict=True)):
        share = (mean - low) / (high - low) if high > low else 1.0
        for column, name in enumerate(MEASURES):
            fill = shade(0.3 + 0.7 * share) if name in mask else PAPER
            axes.barh(row, 0.94, left=column, height=0.86, color=fill, edgecolor=LINE, linewidth=0.7)
        axes.text(5.15, row, f"{100 * mean:.1f}  ({len(values)})", va="center")
    axes.set_xticks([column + 0.47 for column in range(5)], MEASURES)
    axes.xaxis.tick_top()
    axes.text(5.15, -0.9, "mean %  (trials)", va="center")
    axes.set_yticks([])
    axes.set(xlim=(0, 6.6), ylim=(len(masks) - 0.45, -0.55))
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure
