"""The words and numbers that the table and the Markdown report of an ablation have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gazetune.report.ablation_document import AblationDocument, AnswerRecord, ArmRecord, ComparisonRecord
from gazetune.report.wording import format_interval, format_percent, format_points

_MOST_ANSWERS = 4
"""Arms with gaze that a verdict speaks of one by one; more are counted."""


def word_verdict(answers: Sequence[AnswerRecord], comparisons: Sequence[ComparisonRecord]) -> str:
    """Return in plain sentences whether gaze helps, as `ablation.verdict` decided it for each arm with gaze."""
    if not answers:
        return (
            "Whether gaze helps is not asked: no arm with gaze was compared with an arm without. What arms differ in "
            "is in the comparisons."
        )
    by_pair = {(each.arm, each.baseline): each for each in comparisons}
    told = [_word_answer(each, by_pair) for each in _best_first(answers, by_pair)[:_MOST_ANSWERS]]
    if len(answers) <= _MOST_ANSWERS:
        return " ".join(told)
    counts = [f"{_count(answers, answer)} {answer}" for answer in ("supported", "not supported", "cannot tell")]
    return f"Of {len(answers)} arms with gaze: {', '.join(counts)}. " + " ".join(told)


def _count(answers: Sequence[AnswerRecord], answer: str) -> int:
    return sum(each.answer == answer for each in answers)


def _best_first(
    answers: Sequence[AnswerRecord], by_pair: Mapping[tuple[str, str], ComparisonRecord]
) -> list[AnswerRecord]:
    order = ("supported", "cannot tell", "not supported")
    return sorted(answers, key=lambda each: (order.index(each.answer), -by_pair[each.arm, each.baseline].difference))


def _word_answer(answer: AnswerRecord, by_pair: Mapping[tuple[str, str], ComparisonRecord]) -> str:
    gain = by_pair[answer.arm, answer.baseline]
    size = f"{answer.arm} minus {answer.baseline}: {format_points(gain.difference, gain.ci95)} points"
    size += f" on {gain.n} test pairs over {gain.seeds} seed{'s' if gain.seeds > 1 else ''}, p {_format_p(gain)}"
    if answer.answer == "supported":
        if not answer.controls:
            return f"Supported: gaze helps ({size}). No control was trained, which could show the same gain."
        worst = max(by_pair[answer.arm, name].p_adjusted for name in answer.controls)
        return (
            f"Supported: gaze helps ({size}), and it beats {_list_names(answer.controls)} too (p at most "
            f"{worst:.2g}); no control shows more than a third of the gain."
        )
    if answer.matching_control is not None:
        control = by_pair[answer.arm, answer.matching_control]
        told = (
            f"the arm {answer.arm} gains ({size}), but the control {answer.matching_control}, whose measures say "
            f"nothing about a text, is too close to it ({answer.arm} minus control: "
            f"{format_points(control.difference, control.ci95)} points)"
        )
        if answer.answer == "not supported":
            return f"Not supported: {told}. A gain that a control shows too is no gain of gaze."
        return f"Cannot tell: {told}.{_word_pairs(control)}"
    if answer.answer == "not supported":
        return f"Not supported: gaze gains less than a point, if anything ({size})."
    return f"Cannot tell: no gain of gaze is shown ({size}), and none is ruled out.{_word_pairs(gain)}"


def _word_pairs(comparison: ComparisonRecord) -> str:
    if comparison.pairs_needed is None:
        return ""
    size = abs(100 * comparison.difference)
    return f" A difference of {size:.1f} points takes about {comparison.pairs_needed:,} pairs to show."


def _format_p(comparison: ComparisonRecord) -> str:
    return f"{comparison.p_adjusted:.2g}"


def _list_names(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def arm_rows(document: AblationDocument) -> list[list[str]]:
    """Return what each arm reached, as rows of text below a head."""
    head = ["arm", "seeds", "test accuracy %", "sd", "95 % interval", "minus baseline, points (95 % interval)", "p"]
    by_pair = {(each.arm, each.baseline): each for each in document.comparisons}
    rows = []
    for name, arm in document.arms.items():
        own = None if arm.baseline is None else by_pair.get((name, arm.baseline))
        rows.append([name, *_arm_cells(arm), *_difference_cells(own)])
    return [head, *rows]


def _arm_cells(arm: ArmRecord) -> list[str]:
    interval = "-" if arm.ci95 is None else format_interval(arm.ci95)
    return [str(len(arm.seeds)), format_percent(arm.accuracy), format_percent(arm.sd), interval]


def _difference_cells(comparison: ComparisonRecord | None) -> list[str]:
    if comparison is None:
        return ["-", "-"]
    return [format_points(comparison.difference, comparison.ci95), _format_p(comparison)]


def comparison_rows(document: AblationDocument) -> list[list[str]]:
    """Return every comparison as rows of text below a head."""
    head = ["arm", "minus", "points (95 % interval)", "over seeds", "p", "p (Holm)", "test", "pairs", "needed"]
    rows = [
        [
            each.arm,
            each.baseline,
            format_points(each.difference, each.ci95),
            "-" if each.seeds_interval is None else f"{_signed(each.seeds_interval)}",
            f"{each.p:.2g}",
            _format_p(each),
            "better?" if each.alternative == "greater" else "different?",
            str(each.n),
            "-" if each.pairs_needed is None else str(each.pairs_needed),
        ]
        for each in document.comparisons
    ]
    return [head, *rows]


def _signed(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:+.1f} to {100 * ends[1]:+.1f}"


def cell_rows(document: AblationDocument) -> list[list[str]]:
    """Return every cell as rows of text below a head."""
    head = [
        "cell",
        "arm",
        "seed",
        "state",
        "test accuracy %",
        "val accuracy %",
        "examples",
        "seconds",
        "MLflow",
        "reason",
    ]
    rows = [
        [
            each.id,
            each.arm,
            str(each.seed),
            each.state,
            format_percent(each.test_accuracy),
            format_percent(each.val_accuracy),
            str(each.examples),
            f"{each.seconds:.1f}",
            each.mlflow_run,
            each.reason or "",
        ]
        for each in document.cells
    ]
    return [head, *rows]


def measures_line(document: AblationDocument) -> str:
    """Return which measures explain what masks reached; empty where no masks differ."""
    shares = document.importance_by_measure
    if not shares:
        return ""
    listed = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    return f"Of what the feature masks explain (main effects on test accuracy): {listed}."
