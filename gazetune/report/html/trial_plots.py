"""The trials of a search over time, over training examples, and against what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from gazetune.report.document import SearchDocument, TrialRecord
from gazetune.report.evidence import Curve, RunEvidence
from gazetune.report.html.figure import BLUE, GREY, INK, LINE, ORANGE, PURPLE, SOFT, new_figure
from gazetune.report.html.section import MOST_ROWS, Section, Table, thin_out
from gazetune.report.wording import format_percent, short_params

MOST_POINTS = 1000
"""Trials that a picture shows one by one."""
MOST_CURVES = 60
"""Learning curves in one picture; more of them hide each other."""
_MOST_EVALUATIONS = 60

Kind = tuple[str, Callable[[TrialRecord], bool], str, str]
_KINDS: tuple[Kind, ...] = (
    ("PRUNED", lambda trial: trial.state == "PRUNED" and not trial.is_control, GREY, "v"),
    ("COMPLETE", lambda trial: trial.state == "COMPLETE" and not trial.is_control, BLUE, "o"),
    ("control", lambda trial: trial.is_control, PURPLE, "D"),
)
"""What trials are called in a picture, which they are, their colour and their mark."""


def has_accuracy(trial: TrialRecord) -> bool:
    """Tell whether a trial has a validation accuracy that is a number."""
    return trial.val_accuracy is not None and math.isfinite(trial.val_accuracy)


def history_section(document: SearchDocument) -> Section:
    """Return the validation accuracy of each trial in their order, and the best so far."""
    title = "Optimisation history"
    trials = [trial for trial in document.trials if has_accuracy(trial)]
    if not trials:
        return Section("history", title, ("No trial has a validation accuracy.",))
    best = list_improvements(trials)
    shown = _thin_trials(trials, {trial.id for trial in best})
    rows = [[trial.id, short_params(trial.params), format_percent(trial.val_accuracy)] for trial in best]
    text = ["The line is the best so far among COMPLETE trials that are no controls; the table has each step of it."]
    text += _left_out(len(trials), len(shown), "trials are drawn: all that improved the best, the others evenly chosen")
    return Section(
        "history",
        title,
        tuple(text),
        lambda: _draw_history(shown, best, len(document.trials)),
        "Validation accuracy of each trial by its number, with the best so far",
        Table(["trial", "parameters", "validation accuracy %"], rows[-MOST_ROWS:]) if rows else None,
    )


def list_improvements(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the COMPLETE trials, no controls, that were the best when they came."""
    found: list[TrialRecord] = []
    for trial in trials:
        may_win = trial.state == "COMPLETE" and not trial.is_control and has_accuracy(trial)
        if may_win and (not found or (trial.val_accuracy or 0.0) > (found[-1].val_accuracy or 0.0)):
            found.append(trial)
    return found


def _draw_history(trials: Sequence[TrialRecord], best: Sequence[TrialRecord], count: int) -> Figure:
    figure = new_figure(2.7)
    axes = figure.subplots()
    if best:
        x = [int(trial.id) for trial in best]
        y = [100 * (trial.val_accuracy or 0.0) for trial in best]
        axes.step([*x, max(count - 1, x[-1])], [*y, y[-1]], where="post", color=ORANGE, label="best so far", zorder=1)
    _scatter_kinds(axes, trials, lambda trial: int(trial.id))
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish_axes(axes)
    return figure


def _scatter_kinds(axes: Axes, trials: Sequence[TrialRecord], place: Callable[[TrialRecord], float]) -> None:
    for name, belongs, colour, mark in _KINDS:
        own = [trial for trial in trials if belongs(trial)]
        if own:
            y = [100 * (trial.val_accuracy or 0.0) for trial in own]
            x = [place(trial) for trial in own]
            axes.plot(x, y, mark, color=colour, markersize=4, label=name, linestyle="none", zorder=2)


def finish_axes(axes: Axes, label: str = "validation accuracy, %") -> None:
    """Name the upright axis, and put the legend above the picture."""
    axes.set_ylabel(label)
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[1]:
        axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4, handletextpad=0.4)


def curves_section(evidence: RunEvidence) -> Section:
    """Return what trials reached at their evaluations, the rungs, and where trials were stopped."""
    title = "Learning curves"
    curves = [curve for curve in evidence.curves if curve.points]
    if not curves:
        why = evidence.no_curves or "no evaluation of a trial was kept"
        return Section("curves", title, (f"There are no learning curves: {why}.",))
    trials = {trial.id: trial for trial in evidence.document.trials}
    ranked = [trial.id for trial in evidence.document.rank_trials()[:15]]
    keep = frozenset(place for place, curve in enumerate(curves) if curve.trial in ranked)
    chosen = [curves[place] for place in thin_out(range(len(curves)), MOST_CURVES, keep)]
    text = [
        f"{_axis_name(evidence.objective)} at each evaluation. Dotted lines are the rungs at which trials are "
        "compared; a cross marks where a trial was stopped."
    ]
    text += _left_out(len(curves), len(chosen), "curves are drawn: the 15 best, and others evenly chosen")
    return Section(
        "curves",
        title,
        tuple(text),
        lambda: _draw_curves(evidence, chosen, trials),
        "Learning curves of the trials with the rungs, and where trials were stopped",
        Table(
            ["training examples", "trials evaluated there", "went no further", "median", "best"], _rung_rows(evidence)
        ),
    )


def _axis_name(objective: str) -> str:
    return "Validation accuracy" if objective == "val/accuracy" else objective


def _rung_rows(evidence: RunEvidence) -> list[list[str]]:
    scale = 100 if evidence.objective == "val/accuracy" else 1
    take_best = min if evidence.objective == "val/loss" else max
    by_examples: dict[int, list[float]] = {}
    last: dict[int, int] = {}
    for curve in evidence.curves:
        for examples, value in curve.points:
            by_examples.setdefault(examples, []).append(value)
        if curve.points:
            last[curve.points[-1][0]] = last.get(curve.points[-1][0], 0) + 1
    places = sorted(by_examples)
    places = [places[each] for each in thin_out(range(len(places)), _MOST_EVALUATIONS)]
    return [
        [
            f"{examples}{' (rung)' if examples in evidence.rungs else ''}",
            str(len(by_examples[examples])),
            str(last.get(examples, 0)),
            f"{scale * median(by_examples[examples]):.3g}",
            f"{scale * take_best(by_examples[examples]):.3g}",
        ]
        for examples in places
    ]


def _draw_curves(evidence: RunEvidence, curves: Sequence[Curve], trials: dict[str, TrialRecord]) -> Figure:
    figure = new_figure(2.9)
    axes = figure.subplots()
    scale = 100 if evidence.objective == "val/accuracy" else 1
    best = None if evidence.document.best is None else evidence.document.best.id
    for rung in evidence.rungs:
        axes.axvline(rung, color=SOFT, linewidth=0.8, linestyle=":", zorder=0)
    named: set[str] = set()
    # The winner last, upon all others.
    for curve in sorted(curves, key=lambda each: each.trial == best):
        trial = trials.get(curve.trial)
        name, colour = _curve_look(curve, trial, best)
        points = [curve.points[place] for place in thin_out(range(len(curve.points)), _MOST_EVALUATIONS)]
        x, y = [examples for examples, _ in points], [scale * value for _, value in points]
        label = None if name in named else name
        named.add(name)
        is_best = curve.trial == best
        (line,) = axes.plot(x, y, "-" if len(x) > 1 else "x", color=colour, label=label, markersize=4)
        line.set(linewidth=2.2 if is_best else 0.9, alpha=1.0 if is_best else 0.75, zorder=3 if is_best else 1)
        if trial is not None and trial.state != "COMPLETE":
            axes.plot(x[-1:], y[-1:], "x", color=colour, markersize=4, markeredgewidth=1.0, zorder=2)
    scale_examples(axes, curves, evidence.rungs)
    axes.set_xlabel("training examples (pairs)")
    finish_axes(axes, _axis_name(evidence.objective).lower() + (", %" if scale == 100 else ""))
    return figure


def scale_examples(axes: Axes, curves: Sequence[Curve], rungs: Sequence[int]) -> None:
    """Scale the axis of training examples, with the rungs and the end of the budget for ticks where there are few."""
    steps = sorted({examples for curve in curves for examples, _ in curve.points})
    if len(steps) > 1:
        _scale_log(axes)
        ticks = sorted({*rungs, steps[-1]}) if rungs else steps
        if len(ticks) <= 6:
            axes.set_xticks(ticks)


def _curve_look(curve: Curve, trial: TrialRecord | None, best: str | None) -> tuple[str, str]:
    if curve.trial == best:
        return "winner", ORANGE
    if trial is None:
        return "not over", INK
    if trial.is_control:
        return "control", PURPLE
    return trial.state, BLUE if trial.state == "COMPLETE" else GREY


def cost_section(evidence: RunEvidence) -> Section:
    """Return validation accuracy against what a trial cost."""
    title = "Accuracy against cost"
    gpu = evidence.gpu_seconds
    unit = "GPU seconds" if any(gpu.values()) else "seconds of training"

    def cost(trial: TrialRecord) -> float:
        return gpu.get(trial.id, 0.0) if any(gpu.values()) else trial.seconds

    trials = [trial for trial in evidence.document.trials if has_accuracy(trial) and cost(trial) > 0]
    if not trials:
        return Section("cost", title, ("No trial has both an accuracy and a cost.",))
    front = find_cost_front([trial for trial in trials if not trial.is_control], cost)
    shown = _thin_trials(trials, {trial.id for trial in front})
    text = [f"The line goes through the trials, no controls, that none cheaper beats. Cost: {unit}."]
    text += _left_out(len(trials), len(shown), "trials are drawn: all on the line, the others evenly chosen")
    rows = [
        [trial.id, trial.state, short_params(trial.params), f"{cost(trial):.1f}", format_percent(trial.val_accuracy)]
        for trial in front
    ]

    def draw() -> Figure:
        figure = new_figure(2.7)
        axes = figure.subplots()
        x, y = [cost(trial) for trial in front], [100 * (trial.val_accuracy or 0.0) for trial in front]
        axes.step(x, y, where="post", color=ORANGE, label="best for its cost", zorder=1)
        _scatter_kinds(axes, shown, cost)
        _scale_cost(axes, [cost(trial) for trial in shown])
        axes.set_xlabel(unit)
        finish_axes(axes)
        return figure

    head = ["trial", "state", "parameters", unit, "validation accuracy %"]
    return Section(
        "cost", title, tuple(text), draw, f"Validation accuracy of each trial against its {unit}", Table(head, rows)
    )


def _scale_cost(axes: Axes, costs: Sequence[float]) -> None:
    if max(costs) > 8 * min(costs):
        _scale_log(axes)


def _scale_log(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def find_cost_front(trials: Sequence[TrialRecord], cost: Callable[[TrialRecord], float]) -> list[TrialRecord]:
    """Return the trials that are better than all cheaper ones, the cheapest first."""
    front: list[TrialRecord] = []
    for trial in sorted(trials, key=lambda each: (cost(each), -(each.val_accuracy or 0.0))):
        if not front or (trial.val_accuracy or 0.0) > (front[-1].val_accuracy or 0.0):
            front.append(trial)
    return front


def _thin_trials(trials: Sequence[TrialRecord], keep: set[str]) -> list[TrialRecord]:
    kept = frozenset(place for place, trial in enumerate(trials) if trial.id in keep)
    return [trials[place] for place in thin_out(range(len(trials)), MOST_POINTS, kept)]


def _left_out(count: int, shown: int, what: str) -> list[str]:
    return [] if shown == count else [f"{shown} of {count} {what}. trials.csv has all trials."]
