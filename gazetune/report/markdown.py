"""`report.md`: the table's content with what was run, to keep beside the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gazetune.files.atomic_write import write_atomically
from gazetune.report.ablation_document import AblationDocument
from gazetune.report.confirmation_wording import arm_rows, candidate_rows, confirmation_lines
from gazetune.report.document import ImportanceRecord, SearchDocument
from gazetune.report.wording import (
    BASELINE_TITLES,
    TRIAL_HEAD,
    best_line,
    control_rows,
    diagnostics_line,
    ended_line,
    format_interval,
    format_percent,
    format_points,
    importance_line,
    mean_rows,
    pareto_rows,
    state_verdict,
    trial_cells,
    trials_with_ranks,
)

MEANS_NOTE = (
    "Over all trials that were judged, at the last evaluation that all of them had. A sampler that learns proposes "
    "more trials where values were good, and there the other keys have good values too. So a mean says what went "
    "together, not what caused it. The intervals take the trials for independent."
)


def render_report(document: SearchDocument) -> str:
    """Return the report of a search as Markdown."""
    parts = [f"# Search {document.name}", state_verdict(document)]
    if document.ended_by is not None:
        parts.append(ended_line(document.ended_by))
    if document.best is not None:
        parts.append(best_line(document.best))
    if document.confirmation is not None:
        parts += confirmation_lines(document.confirmation)
    if document.diagnostics is not None:
        parts.append(diagnostics_line(document.diagnostics))
    baselines = [
        [
            BASELINE_TITLES.get(name, name),
            f"{format_percent(record.accuracy)} ({format_interval(record.ci95)})",
            format_points(record.difference, record.difference_ci95),
            str(record.n),
        ]
        for name, record in document.baselines.items()
        if record is not None
    ]
    if baselines:
        head = ["baseline", "test accuracy % (95 % interval)", "best minus baseline, points (95 % interval)", "pairs"]
        parts += ["## Baselines on the same test pairs", render_table(head, baselines)]
    if document.confirmation is not None and document.confirmation.arms:
        head, *rows = arm_rows(document.confirmation)
        parts += ["## Confirmed on test, means over seeds", render_table(head, rows)]
    if document.confirmation is not None and document.confirmation.candidates:
        head, *rows = candidate_rows(document.confirmation)
        parts += ["## Candidates on other folds", render_table(head, rows)]
    if document.controls:
        head, *rows = control_rows(document)
        parts += ["## Controls, which cannot win", render_table(head, rows)]
    if document.pareto:
        head, *rows = pareto_rows(document.pareto)
        parts += ["## Pareto front", render_table(head, rows)]
    parts += _render_importance(document.importance)
    if document.means is not None and document.means.means:
        head, *rows = mean_rows(document.means)
        parts += ["## Mean by value", MEANS_NOTE, render_table(head, rows)]
    trials = [
        [*trial_cells(rank, trial), trial.mlflow_run or "", trial.reason or ""]
        for rank, trial in trials_with_ranks(document)
    ]
    head = [*TRIAL_HEAD, "MLflow run", "reason"]
    parts += ["## Trials", render_table(head, trials), "## What was run", list_facts(document)]
    if document.config:
        parts.append(f"```yaml\n{document.config.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def write_report(document: SearchDocument, path: Path) -> None:
    """Write the report to `path` atomically: a reader sees the old file or the new one, never half of one."""
    write_atomically(path, render_report(document), durable=True)


def _render_importance(importance: ImportanceRecord) -> list[str]:
    told = importance_line(importance)
    shares, measures = (
        [[name, f"{100 * share:.1f}"] for name, share in each.items()]
        for each in (importance.shares, importance.by_measure)
    )
    table = [render_table(["key", "share %"], shares)] if shares else []
    if measures:
        table.append(render_table(["measure", "share among the masks %"], measures))
    return ["## Importance of the searched keys", told, *table] if told else []


def list_facts(document: SearchDocument | AblationDocument) -> str:
    """Return what was run, as a list in Markdown."""
    facts = {
        "storage": document.storage,
        "tracking URI": document.tracking_uri,
        "MLflow parent run": document.mlflow_parent_run,
        **document.fingerprints,
    }
    return "\n".join(f"- {name}: `{value}`" for name, value in facts.items())


def render_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; cells are escaped here."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_escape_cell(cell) for cell in line) + " |" for line in lines)


def _escape_cell(text: str) -> str:
    # A viewer of Markdown takes `<` for the beginning of HTML.
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
