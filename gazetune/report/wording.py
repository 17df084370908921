"""The words and numbers that the table and the Markdown report have in common."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from gazetune.report.document import (
    BaselineRecord,
    BestRecord,
    DiagnosticsRecord,
    EndedRecord,
    ImportanceRecord,
    MeansRecord,
    ParetoRecord,
    SearchDocument,
    TrialRecord,
)

_GAZE_KEYS = ("gaze.", "projector.", "fusion.")
"""Keys that a run without gaze does not look at."""
MOST_IMPORTANT = 5
"""So many keys stand in the line that says what mattered; the report has all."""

TRIAL_HEAD = ("rank", "trial", "state", "params", "examples", "val accuracy %", "seconds")

BASELINE_TITLES = {"no_gaze": "no gaze", "shorter": "prefer the shorter reply"}


def resume_command(name: str, storage: Path) -> str:
    """Return the command that goes on with a search, as a shell takes it.

    Examples
    --------
    >>> resume_command("mine", Path("/my runs"))
    "gazetune search --resume mine --storage '/my runs'"
    """
    return f"gazetune search --resume {shlex.quote(name)} --storage {shlex.quote(str(storage))}"


def resume_ablation_command(name: str, storage: Path) -> str:
    """Return the command that goes on with an ablation, as a shell takes it.

    Examples
    --------
    >>> resume_ablation_command("mine", Path("/my runs"))
    "gazetune ablate --resume mine --storage '/my runs'"
    """
    return f"gazetune ablate --resume {shlex.quote(name)} --storage {shlex.quote(str(storage))}"


def format_percent(share: float | None) -> str:
    """Return an accuracy as percent with one digit, or a dash where there is none.

    Examples
    --------
    >>> format_percent(0.8533), format_percent(None)
    ('85.3', '-')
    """
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def format_interval(ends: tuple[float, float]) -> str:
    """Return an interval of accuracies in percent.

    Examples
    --------
    >>> format_interval((0.817, 0.883))
    '81.7 to 88.3'
    """
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def format_points(difference: float, ends: tuple[float, float]) -> str:
    """Return a difference of accuracies in percentage points with its interval.

    Examples
    --------
    >>> format_points(0.213, (0.162, 0.264))
    '+21.3 (+16.2 to +26.4)'
    """
    return f"{100 * difference:+.1f} ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})"


def short_params(params: Mapping[str, object]) -> str:
    """Return a trial's parameters on one line, the keys cut to what still tells them apart.

    A run without gaze has none of the keys of gaze: it saw no measures.

    Examples
    --------
    >>> short_params({"optim.learning_rate": 0.00123456, "fusion.kind": "add", "gaze.features": ["FFD", "TRT"]})
    'learning_rate=0.00123, fusion=add, features=FFD+TRT'
    >>> short_params({"fusion.kind": "none", "gaze.features": ["FFD", "TRT"], "train.seed": 1})
    'fusion=none, seed=1'
    """
    if params.get("fusion.kind") == "none":
        params = {key: value for key, value in params.items() if key == "fusion.kind" or not key.startswith(_GAZE_KEYS)}
    parts = {key: key.removesuffix(".kind").rsplit(".", 1)[-1] for key in params}
    taken = Counter(parts.values())
    names = {key: part if taken[part] == 1 else key for key, part in parts.items()}
    return ", ".join(f"{names[key]}={_short_value(key, value)}" for key, value in params.items())


def _short_value(key: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ("+" if key == "gaze.features" else "/").join(_short_value("", item) for item in value) or "none"
    return str(value)


def trials_with_ranks(document: SearchDocument) -> list[tuple[str, TrialRecord]]:
    """Return the trials in the order of the table, each with its rank; the controls come last and have none."""
    ranked = [(str(rank), trial) for rank, trial in enumerate(document.rank_trials(), start=1)]
    return ranked + [("control", trial) for trial in document.list_controls()]


def trial_cells(rank: str, trial: TrialRecord) -> list[str]:
    """Return a trial as the cells below `TRIAL_HEAD`."""
    return [
        rank,
        trial.id,
        trial.state,
        short_params(trial.params),
        str(trial.examples),
        format_percent(trial.val_accuracy),
        f"{trial.seconds:.1f}",
    ]


def pareto_rows(front: Sequence[ParetoRecord]) -> list[list[str]]:
    """Return the Pareto front as rows of text, its objectives for a head."""
    names = list(front[0].values)
    return [
        ["trial", *names],
        *([record.id, *(f"{record.values[name]:.4g}" for name in names)] for record in front),
    ]


def importance_line(importance: ImportanceRecord) -> str:
    """Return which keys decided most whether a trial was among the better ones; empty where nobody asked."""
    if importance.missing is not None:
        return f"What mattered most cannot be said: {importance.missing}."
    if not importance.shares:
        return ""
    of_what = f"PED-ANOVA; to be in the better half of {importance.trials} trials, stopped ones included"
    line = f"What mattered most ({of_what}): {_list_shares(importance.shares)}."
    return f"{line} Of the measures: {_list_shares(importance.by_measure)}." if importance.by_measure else line


def _list_shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in list(shares.items())[:MOST_IMPORTANT])


def mean_rows(means: MeansRecord) -> list[list[str]]:
    """Return the mean by value of each key as rows of text below a head."""
    name, counts_percent = means.objective, means.objective.endswith("accuracy")

    def show(value: float) -> str:
        return f"{100 * value:.1f}" if counts_percent else f"{value:.3g}"

    rows = []
    for each in means.means:
        interval = "-" if each.ci95 is None else f"{show(each.ci95[0])} to {show(each.ci95[1])}"
        rows.append([each.key, each.value, str(each.trials), show(each.mean), interval])
    head = f"mean {name}{' %' if counts_percent else ''} at {means.examples} examples"
    return [["key", "value", "trials", head, "95 % interval"], *rows]


def ended_line(ended: EndedRecord) -> str:
    """Return which cap ended the search, and with how many of its trials."""
    limit = f"{ended.limit / 1e9:g} GB" if ended.cap == "search.max_disk" else f"{ended.limit:g}"
    return f"Ended early: {ended.cap} {limit} was reached with {ended.trials} of {ended.planned} trials begun."


def _visible(record: BaselineRecord) -> str:
    """Return what so many pairs can show, as sentences after a verdict; nothing where a document does not say it."""
    if record.pairs_needed is None and record.detectable is None:
        return ""
    if record.detectable is None:
        told = f" {record.n} pairs are too few to show any difference."
    else:
        told = f" {record.n} pairs can show differences above about {100 * record.detectable:.1f} points"
        told += " (with a chance of 80 %)"
    if record.pairs_needed is None:
        return f"{told.removesuffix('.')}."
    more = f"one of {abs(100 * record.difference):.1f} takes about {record.pairs_needed:,} pairs"
    return f"{told.removesuffix('.')}; {more}."


def diagnostics_line(diagnostics: DiagnosticsRecord) -> str:
    """Return what the winner's rewards tell on test beside its accuracy."""
    return (
        f"Of test pairs whose replies differ in length the best trial prefers the longer one on "
        f"{format_percent(diagnostics.prefers_longer)} %, the labels on "
        f"{format_percent(diagnostics.labels_prefer_longer)} %. Calibration error of its rewards: "
        f"{format_percent(diagnostics.calibration_error)} points."
    )


def control_rows(document: SearchDocument) -> list[list[str]]:
    """Return what each control reached at its best, as rows of text below a head."""
    head = ["control", "best trial", "validation accuracy %", "test accuracy % (95 % interval)"]
    rows = []
    for name, record in document.controls.items():
        shown = f"{record.id}: {short_params(record.params)}"
        row = [name, shown, format_percent(record.val_accuracy)]
        if record.test is None:
            rows.append([*row, "-", "-"])
            continue
        accuracy = f"{format_percent(record.test.accuracy)} ({format_interval(record.test.ci95)})"
        rows.append([*row, accuracy, format_points(record.test.difference, record.test.difference_ci95)])
    return [[*head, "best minus control, points (95 % interval)"], *rows]


def best_line(best: BestRecord) -> str:
    """Return what the best trial is and how right it is on validation and test."""
    line = (
        f"Best trial {best.id}: {short_params(best.params)}. Validation accuracy {format_percent(best.val_accuracy)} %"
    )
    if best.test is None:
        return f"{line}; not evaluated on test."
    ends = f"95 % interval {format_interval(best.test.ci95)}, n = {best.test.n}"
    return f"{line}; test accuracy {format_percent(best.test.accuracy)} % ({ends})."


def state_verdict(document: SearchDocument) -> str:
    """Return in one plain sentence whether the search found a gain of gaze that is larger than chance."""
    best, no_gaze = document.best, document.baselines.get("no_gaze")
    if best is None:
        return _without_winner(document)
    if best.params.get("fusion.kind") == "none":
        return f"No gain of gaze: the best trial, {best.id}, is a run without gaze."
    if best.test is None or no_gaze is None:
        return "Whether gaze helps is not known: the best trial was not compared with a run without gaze on test pairs."
    if no_gaze.difference_ci95[0] > 0 and (matched := _control_that_matches(document)) is not None:
        return _not_of_gaze(no_gaze, *matched)
    verdict = _compare_with_no_gaze(no_gaze)
    if no_gaze.difference_ci95[0] <= 0:
        return verdict
    failed = _failed_controls(document)
    if controls := _tested_controls(document):
        names = ", ".join(dict.fromkeys(name for name, _ in controls))
        verdict += f" It is better than each control{' that was trained' if failed else ''}, too ({names})."
    if failed:
        verdict += f" Whether a control shows the gain, too, is not known of {', '.join(failed)}: its trainings failed."
    return verdict


def _tested_controls(document: SearchDocument) -> list[tuple[str, BaselineRecord]]:
    """Return what each control reached on test: those that trials had, and those of the winner's own config."""
    tested = [(name, record.test) for name, record in document.controls.items()]
    if document.confirmation is not None:
        arms = document.confirmation.arms.items()
        tested += [(name.removeprefix("control-"), arm.compared) for name, arm in arms if name.startswith("control-")]
    return [(name, record) for name, record in tested if record is not None]


def _failed_controls(document: SearchDocument) -> list[str]:
    """Return the controls that a confirmation was to have, and none of whose trainings reached its end."""
    confirmation = document.confirmation
    if confirmation is None or confirmation.missing is not None:
        return []
    arms = dict.fromkeys(name.rpartition("-")[0] for name in confirmation.failed)
    return [arm.removeprefix("control-") for arm in arms if arm.startswith("control-") and arm not in confirmation.arms]


def _control_that_matches(document: SearchDocument) -> tuple[str, BaselineRecord] | None:
    """Return the closest of the controls that the winner is not shown to be better than on test."""
    unbeaten = [each for each in _tested_controls(document) if each[1].difference_ci95[0] <= 0]
    return min(unbeaten, key=lambda each: each[1].difference, default=None)


def _not_of_gaze(no_gaze: BaselineRecord, name: str, control: BaselineRecord) -> str:
    return (
        f"No gain of gaze is shown: the best trial is right {100 * no_gaze.difference:.1f} points more often than the "
        f"best run without gaze on the same {no_gaze.n} test pairs, but not more often than the control {name}, whose "
        "measures say nothing about a text (best minus control "
        f"{format_points(control.difference, control.difference_ci95)})."
    )


def _without_winner(document: SearchDocument) -> str:
    states = Counter(trial.state for trial in document.trials)
    controls = [trial.control for trial in document.trials if trial.is_control and trial.state == "COMPLETE"]
    if controls:
        names = ", ".join(sorted(set(controls)))
        return (
            f"No winner: all {len(controls)} trials that ran their full budget are controls (gaze.control: {names}), "
            "which are there to be beaten. Nothing is said about gaze without a trial that has real measures or none."
        )
    told = ", ".join(f"{states[state]} {state}" for state in ("PRUNED", "FAIL") if states[state]) or "no trial ran"
    reasons = [trial.reason for trial in document.trials if trial.state == "FAIL" and trial.reason]
    last = f"; the first failure: {reasons[0].splitlines()[0]}" if reasons else ""
    return f"No trial ran its full budget ({told}), so there is no winner and nothing to say about gaze{last}."


def _compare_with_no_gaze(no_gaze: BaselineRecord) -> str:
    low, high = no_gaze.difference_ci95
    size = f"{abs(100 * no_gaze.difference):.1f} points"
    against = f"than the best run without gaze on the same {no_gaze.n} test pairs"
    ends = f"95 % interval of the difference {100 * low:+.1f} to {100 * high:+.1f}"
    if low > 0:
        return f"Gaze helps: the best trial is right {size} more often {against}, larger than chance ({ends})."
    if high < 0:
        return f"Gaze hurts: the best trial is right {size} less often {against}, larger than chance ({ends})."
    if no_gaze.difference == 0:
        return f"No gain of gaze is shown: the best trial is right no more often {against} ({ends}).{_visible(no_gaze)}"
    more = "more" if no_gaze.difference > 0 else "less"
    return (
        f"No gain of gaze is shown: the best trial is right {size} {more} often {against}, "
        f"which chance alone could give ({ends}, includes 0).{_visible(no_gaze)}"
    )
