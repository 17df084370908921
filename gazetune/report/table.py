"""The final table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gazetune.report.confirmation_wording import arm_rows, confirmation_lines
from gazetune.report.document import SearchDocument
from gazetune.report.wording import (
    BASELINE_TITLES,
    best_line,
    control_rows,
    ended_line,
    format_interval,
    format_percent,
    format_points,
    importance_line,
    pareto_rows,
    short_params,
    state_verdict,
    trials_with_ranks,
)

MAX_ROWS = 40
"""Longer searches show their best trials only; the report has all."""


def print_table(document: SearchDocument, console: Console) -> None:
    """Print the ranked trials, the best one on test, each baseline against it, and the verdict."""
    console.print(_make_trials_table(document))
    hidden = len(document.trials) - MAX_ROWS
    if hidden > 0:
        console.print(Text(f"{hidden} more trials are in {document.report}"))
    if document.ended_by is not None:
        console.print(Text(ended_line(document.ended_by)))
    if document.pareto:
        console.print(make_text_table("Pareto front", pareto_rows(document.pareto)))
    if document.best is not None:
        console.print(Text(best_line(document.best)))
        if document.confirmation is not None:
            for line in confirmation_lines(document.confirmation):
                console.print(Text(line))
        if any(document.baselines.values()):
            console.print(_make_baselines_table(document))
    if document.confirmation is not None and document.confirmation.arms:
        console.print(make_text_table("Confirmed on test, means over seeds", arm_rows(document.confirmation)))
    if document.controls:
        console.print(make_text_table("Controls, which cannot win", control_rows(document)))
    console.print(Text(state_verdict(document)))
    if told := importance_line(document.importance):
        console.print(Text(told))
    console.print(Text(f"Report: {document.report}"), soft_wrap=True)
    console.print(Text(f"MLflow: {document.tracking_uri} (run {document.mlflow_parent_run})"), soft_wrap=True)


def _make_trials_table(document: SearchDocument) -> Table:
    table = Table(title=Text(f"Search {document.name}"), title_justify="left")
    table.add_column("rank", justify="right")
    table.add_column("trial", justify="right")
    table.add_column("state", no_wrap=True)
    table.add_column("params", ratio=1, overflow="fold")
    table.add_column("examples", justify="right", no_wrap=True)
    table.add_column("val acc %", justify="right", no_wrap=True)
    for rank, trial in trials_with_ranks(document)[:MAX_ROWS]:
        told = short_params(trial.params)
        if trial.state == "FAIL" and trial.reason:
            told = f"{told}\n{trial.reason.splitlines()[0]}"
        row = [rank, trial.id, trial.state, told, str(trial.examples), format_percent(trial.val_accuracy)]
        # Text, not str: a reason may hold square brackets, which rich would take for markup.
        table.add_row(*(Text(cell) for cell in row))
    return table


def make_text_table(title: str, lines: list[list[str]]) -> Table:
    """Return a table of a head and rows."""
    table = Table(title=Text(title), title_justify="left")
    head, *rows = lines
    for name in head:
        table.add_column(name, justify="right", overflow="fold")  # a name that is cut names nothing
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _make_baselines_table(document: SearchDocument) -> Table:
    table = Table(title=Text("Test pairs, paired item by item"), title_justify="left")
    table.add_column("baseline")
    table.add_column("test acc % (95 % interval)")
    table.add_column("best minus baseline, points (95 % interval)")
    for name, record in document.baselines.items():
        if record is not None:
            accuracy = f"{format_percent(record.accuracy)} ({format_interval(record.ci95)})"
            difference = format_points(record.difference, record.difference_ci95)
            table.add_row(Text(BASELINE_TITLES.get(name, name)), Text(accuracy), Text(difference))
    return table
