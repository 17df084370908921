"""The words and rows about a confirmation that the table and the Markdown report have in common."""

from __future__ import annotations

from gazetune.report.document import ConfirmationRecord
from gazetune.report.wording import format_interval, format_percent, format_points, short_params


def confirmation_lines(confirmation: ConfirmationRecord) -> list[str]:
    """Return how the winner was confirmed, and what the search alone would have said, a sentence or two each."""
    if confirmation.missing is not None:
        lines = [f"Not confirmed, as {confirmation.missing}: the best trial is the search's own choice."]
        return lines + [f"Of the confirmation: {note}." for note in confirmation.notes]
    lines = [f"Of the confirmation: {note}." for note in confirmation.notes]
    winner, alone = confirmation.arms["winner"], confirmation.searched
    if confirmation.candidates:
        pairs = max(each.n for each in confirmation.candidates)
        lines.append(
            f"Chosen among the best {len(confirmation.candidates)} trials by {confirmation.folds} folds with fresh "
            f"seeds, over all {pairs} pairs outside test; {confirmation.trainings} trainings in all."
        )
    kept = winner.folders.index(confirmation.model or "")
    lines.append(
        f"Test accuracies of the best trial and of what it is compared with are means over {len(winner.seeds)} "
        f"seed(s); its kept model has seed {confirmation.seed} and is right on "
        f"{format_percent(winner.test_accuracies[kept])} % of the test pairs."
    )
    if alone is not None:
        tested = "" if alone.test is None else f", test accuracy {format_percent(alone.test.accuracy)} %"
        lines.append(
            f"The search alone would have taken trial {alone.id}: validation accuracy "
            f"{format_percent(alone.val_accuracy)} %{tested}."
        )
    if confirmation.failed:
        name, reason = next(iter(confirmation.failed.items()))
        lines.append(f"{len(confirmation.failed)} training(s) of the confirmation failed, the first {name}: {reason}")
    return lines


def candidate_rows(confirmation: ConfirmationRecord) -> list[list[str]]:
    """Return the candidates with their accuracies over all folds, as rows of text below a head."""
    head = ["candidate", "accuracy in the search %", "accuracy over all folds %", "pairs"]
    rows = []
    for each in confirmation.candidates:
        ends = each.difference_ci95
        difference = "-" if each.difference is None or ends is None else format_points(each.difference, ends)
        shown = f"{each.id}: {short_params(each.params)}"
        rows.append(
            [shown, format_percent(each.searched_accuracy), format_percent(each.accuracy), str(each.n), difference]
        )
    return [[*head, "best minus candidate, points (95 % interval)"], *rows]


def arm_rows(confirmation: ConfirmationRecord) -> list[list[str]]:
    """Return what each arm of a confirmation reached on test, as rows of text below a head."""
    head = ["arm", "seeds", "validation accuracy %", "test accuracy % (95 % interval)"]
    rows = []
    for name, arm in confirmation.arms.items():
        validation = " ".join(map(format_percent, arm.val_accuracies))
        accuracy = f"{format_percent(arm.test.accuracy)} ({format_interval(arm.test.ci95)})"
        found = arm.compared
        difference = "-" if found is None else format_points(found.difference, found.difference_ci95)
        rows.append([name, str(len(arm.seeds)), validation, accuracy, difference])
    return [[*head, "best minus arm, points (95 % interval)"], *rows]
