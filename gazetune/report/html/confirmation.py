"""How a search confirmed its winner: candidates over folds, and what was trained again for the test pairs."""

from __future__ import annotations

from gazetune.report.document import BestRecord, ConfirmationRecord, SearchDocument
from gazetune.report.html.figure import BLUE, ORANGE, PURPLE
from gazetune.report.html.intervals import IntervalRow, draw_intervals
from gazetune.report.html.section import Section, Table
from gazetune.report.wording import format_interval, format_percent, format_points, short_params

_CONTROL = "control-"


def confirmation_sections(document: SearchDocument) -> list[Section]:
    """Return the parts about the confirmation; none for a search that asked for none."""
    found = document.confirmation
    if found is None:
        return []
    if found.missing is not None:
        told = f"The best trial was not confirmed: {found.missing}."
        return [Section("confirmation", "Confirmation", (told, *map(_as_sentence, found.notes)))]
    candidates = [_candidates_section(document.best, found)] if found.candidates else []
    return [_arms_section(document.best, found), *candidates]


def _arms_section(best: BestRecord | None, found: ConfirmationRecord) -> Section:
    accuracies = [
        IntervalRow(name, arm.test.accuracy, *arm.test.ci95, _colour_of(name), arm.test_accuracies)
        for name, arm in found.arms.items()
    ]
    differences = [
        IntervalRow(name, arm.compared.difference, *arm.compared.difference_ci95, _colour_of(name))
        for name, arm in found.arms.items()
        if arm.compared is not None
    ]
    table = [
        [
            name,
            ", ".join(map(format_percent, arm.test_accuracies)),
            f"{format_percent(arm.test.accuracy)} ({format_interval(arm.test.ci95)})",
            "" if arm.compared is None else format_points(arm.compared.difference, arm.compared.difference_ci95),
        ]
        for name, arm in found.arms.items()
    ]
    text = [
        f"What was trained again with fresh seeds, on the same test pairs; a small point is one seed. "
        f"{found.trainings} trainings were made for the confirmation."
    ]
    searched = found.searched
    if searched is not None and best is not None:
        told = f"trial {searched.id} ({short_params(searched.params)}), {format_percent(searched.val_accuracy)} %"
        told += (
            f" on validation{'' if searched.test is None else f', {format_percent(searched.test.accuracy)} % on test'}"
        )
        same = "the same trial" if searched.id == best.id else f"the confirmed choice is trial {best.id}"
        text.append(f"The search alone would have said: {told}; {same}.")
    text += [
        *map(_as_sentence, found.notes),
        *(f"Training {name} failed: {reason}." for name, reason in found.failed.items()),
    ]
    head = ["run", "by seed, %", "accuracy % (95 % interval)", "winner minus it, points"]
    panels = [("accuracy on test, %", accuracies, 0.5), ("winner minus it, points", differences, 0.0)]
    return Section(
        "confirmation",
        "Confirmation on the test pairs",
        tuple(text),
        (lambda: draw_intervals(panels)) if accuracies else None,
        "Accuracies on test of what the confirmation trained, and differences from the winner",
        Table(head, table),
    )


def _as_sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:].removesuffix('.')}."


def _colour_of(name: str) -> str:
    return ORANGE if name == "winner" else PURPLE if name.startswith(_CONTROL) else BLUE


def _candidates_section(best: BestRecord | None, found: ConfirmationRecord) -> Section:
    chosen = None if best is None else best.id
    rows = [
        IntervalRow(f"trial {each.id}", each.difference, *each.difference_ci95)
        for each in found.candidates
        if each.difference is not None and each.difference_ci95 is not None
    ]
    table = [
        [
            f"{each.id}{' (chosen)' if each.id == chosen else ''}",
            short_params(each.params),
            format_percent(each.searched_accuracy),
            format_percent(each.accuracy),
            str(each.n),
            ""
            if each.difference is None or each.difference_ci95 is None
            else format_points(each.difference, each.difference_ci95),
        ]
        for each in found.candidates
    ]
    text = (
        f"The best trials on validation, trained again on {found.folds} other divisions of the pairs outside test. The "
        "choice is by accuracy over the validation pairs of all folds.",
    )
    head = ["trial", "parameters", "in the search %", "over folds %", "pairs", "chosen minus it, points"]
    return Section(
        "candidates",
        "Candidates over the folds",
        text,
        (lambda: draw_intervals([("chosen minus it over the folds, points", rows, 0.0)])) if rows else None,
        "Differences between the chosen candidate and the others over the folds",
        Table(head, table),
    )
