"""What the report of an ablation has of its own: arms and comparisons with intervals, and a curve for each arm."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from matplotlib.figure import Figure

from gazetune.report.ablation_document import AblationDocument, ComparisonRecord
from gazetune.report.evidence import Curve, RunEvidence
from gazetune.report.html.figure import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SOFT, clip_label, new_figure
from gazetune.report.html.intervals import IntervalRow, draw_intervals
from gazetune.report.html.lists import first_line
from gazetune.report.html.section import MOST_ROWS, Section, Table
from gazetune.report.html.trial_plots import finish_axes, scale_examples
from gazetune.report.wording import format_interval, format_percent, format_points

_PURPOSES = {"gaze": ORANGE, "control": PURPLE, "setting": BLUE}
_ARM_COLOURS = (ORANGE, BLUE, PURPLE, GREEN, RED, INK, GREY, SOFT)
_MOST_INTERVALS = 40
"""Rows of a picture of intervals; the table beside it has all."""


def arms_section(document: AblationDocument) -> Section:
    """Return what each arm reached on test."""
    title = "Arms on the test pairs"
    reached = {name: arm for name, arm in document.arms.items() if arm.accuracy is not None}
    if not reached:
        return Section("arms", title, ("No cell was scored on the test pairs.",))
    by_seed = {name: _accuracies_by_seed(document, name) for name in reached}
    rows = [
        IntervalRow(
            name,
            arm.accuracy or 0.0,
            *(arm.ci95 or (arm.accuracy or 0.0, arm.accuracy or 0.0)),
            ORANGE if arm.has_gaze else PURPLE if arm.control != "none" else BLUE,
            by_seed[name],
        )
        for name, arm in reached.items()
    ]
    table = [
        [
            name,
            format_percent(arm.accuracy),
            format_percent(arm.sd),
            "-" if arm.ci95 is None else format_interval(arm.ci95),
            ", ".join(map(str, arm.seeds)) or "none",
            format_percent(arm.val_accuracy),
        ]
        for name, arm in document.arms.items()
    ]
    text = [
        "The mean accuracy over seeds with its 95 % interval over test pairs; a small point is one seed. Orange: sees "
        "gaze; purple: a control; blue: sees none."
    ]
    if document.shared_setting:
        text.append("All arms share one setting, that of the base: none was tuned by itself.")
    text += _tell_left_out(len(rows), "arms")
    head = ["arm", "test accuracy %", "sd over seeds", "95 % interval", "seeds", "validation accuracy %"]
    return Section(
        "arms",
        title,
        tuple(text),
        lambda: draw_intervals([("accuracy on test, %", rows[:_MOST_INTERVALS], 0.5)]),
        "Test accuracy of each arm with its interval and each seed",
        Table(head, table),
    )


def _accuracies_by_seed(document: AblationDocument, arm: str) -> tuple[float, ...]:
    return tuple(cell.test_accuracy for cell in document.cells if cell.arm == arm and cell.test_accuracy is not None)


def comparisons_section(document: AblationDocument) -> Section:
    """Return the differences between arms, paired by test pair."""
    title = "Comparisons"
    if not document.comparisons:
        return Section("comparisons", title, ("No two arms were compared.",))
    rows = [
        IntervalRow(f"{each.arm} - {each.baseline}", each.difference, *each.ci95, _PURPOSES[each.purpose], each.by_seed)
        for each in document.comparisons
    ]
    text = [
        "Arm minus baseline on the same test pairs, correctness averaged over seeds; a small point is one seed. The "
        "interval and p are by test pair, all pairs of a prompt together, and say nothing of other seeds; `over "
        "seeds` does. p is adjusted (Holm) over the comparisons of one purpose.",
        "Orange: is gaze better? Purple: is a control better than no gaze? Blue: are two settings different?",
    ]
    head = ["arm", "minus", "points (95 % interval)", "over seeds", "p", "p adjusted", "pairs", "seeds"]
    text += _tell_left_out(len(rows), "comparisons")
    return Section(
        "comparisons",
        title,
        tuple(text),
        lambda: draw_intervals([("arm minus baseline, points", rows[:_MOST_INTERVALS], 0.0)]),
        "Differences between arms with 95 % intervals",
        Table(head, [_comparison_row(each) for each in document.comparisons]),
    )


def _comparison_row(each: ComparisonRecord) -> list[str]:
    over_seeds = each.seeds_interval
    return [
        each.arm,
        each.baseline,
        format_points(each.difference, each.ci95),
        "-" if over_seeds is None else f"{100 * over_seeds[0]:+.1f} to {100 * over_seeds[1]:+.1f}",
        f"{each.p:.2g}",
        f"{each.p_adjusted:.2g}",
        str(each.n),
        str(each.seeds),
    ]


def _tell_left_out(count: int, what: str) -> list[str]:
    told = f"The picture has the first {_MOST_INTERVALS} of {count} {what}; the table has all."
    return [told] if count > _MOST_INTERVALS else []


def arm_curves_section(evidence: RunEvidence) -> Section:
    """Return the learning curve of each arm, the mean over its seeds."""
    title = "Learning curves"
    curves = mean_curves(evidence)
    if not curves:
        return Section("curves", title, ("There are no learning curves: no evaluation of a cell was kept.",))
    assert evidence.ablation is not None
    arms = evidence.ablation.arms
    # Of an ablation that is not finished no arm is known yet.
    reached = {name: arm.accuracy for name, arm in arms.items() if arm.accuracy is not None}
    shown = sorted(curves, key=lambda name: -reached.get(name, curves[name].points[-1][1]))[: len(_ARM_COLOURS)]
    text = ["Validation accuracy at each evaluation, the mean over the seeds of an arm that were evaluated there."]
    if len(shown) < len(curves):
        text.append(f"The picture has the {len(shown)} of {len(curves)} arms that are best.")
    rows = [
        [name, str(examples), format_percent(value)]
        for name in shown
        for examples, value in (curves[name].points[0], curves[name].points[-1])
    ]

    def draw() -> Figure:
        figure = new_figure(3.1)
        axes = figure.subplots()
        for name, colour in zip(shown, _ARM_COLOURS, strict=False):
            x, y = [examples for examples, _ in curves[name].points], [100 * value for _, value in curves[name].points]
            axes.plot(x, y, "o-" if len(x) < 12 else "-", color=colour, label=clip_label(name), markersize=3)
        scale_examples(axes, [curves[name] for name in shown], ())
        axes.set_xlabel("training examples (pairs)")
        finish_axes(axes, "validation accuracy, %")
        return figure

    label = "Learning curves of the arms"
    return Section(
        "curves", title, tuple(text), draw, label, Table(["arm", "training examples", "validation accuracy %"], rows)
    )


def mean_curves(evidence: RunEvidence) -> dict[str, Curve]:
    """Return by arm the mean of the curves of its cells, where they were evaluated."""
    assert evidence.ablation is not None
    arm_of = {cell.id: cell.arm for cell in evidence.ablation.cells}
    values: dict[str, dict[int, list[float]]] = {}
    for curve in evidence.curves:
        for examples, value in curve.points:
            if curve.trial in arm_of:
                values.setdefault(arm_of[curve.trial], {}).setdefault(examples, []).append(value)
    return {
        arm: Curve(arm, tuple((examples, fmean(each)) for examples, each in sorted(points.items())))
        for arm, points in values.items()
    }


def measures_section(document: AblationDocument) -> Section | None:
    """Return which measures explain what masks reached; None where no masks differ."""
    shares = document.importance_by_measure
    if not shares:
        return None
    rows = [[name, format_percent(share)] for name, share in shares.items()]
    text = ("The share of each reading measure in what the masks of the arms explain of the accuracy on test.",)
    return Section("measures", "Importance of the measures", text, table=Table(["measure", "share %"], rows))


def cells_section(document: AblationDocument) -> Section:
    """Return every cell."""
    rows = [
        [
            cell.id,
            cell.arm,
            str(cell.seed),
            cell.state,
            format_percent(cell.test_accuracy),
            format_percent(cell.val_accuracy),
            f"{cell.seconds:.1f}",
            first_line(cell.reason),
        ]
        for cell in document.cells[:MOST_ROWS]
    ]
    count = len(document.cells)
    text = (f"The first {MOST_ROWS} of {count}; trials.csv has all.",) if count > MOST_ROWS else ()
    head = ["cell", "arm", "seed", "state", "test accuracy %", "validation accuracy %", "seconds", "reason"]
    return Section("trials", "Cells", text, table=Table(head, rows))


def rename_trials(section: Section) -> Section:
    """Return a part of a search's report that speaks of trials, for an ablation, whose runs are cells."""

    def swap(text: str) -> str:
        return (
            text.replace("trials.csv", "\0")
            .replace("trial", "cell")
            .replace("Trial", "Cell")
            .replace("\0", "trials.csv")
        )

    table = section.table and Table([swap(name) for name in section.table.head], section.table.rows)
    return replace(section, title=swap(section.title), text=tuple(map(swap, section.text)), table=table)
