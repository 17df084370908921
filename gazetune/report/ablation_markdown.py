"""`report.md` of an ablation, and its tables on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gazetune.files.atomic_write import write_atomically
from gazetune.report.ablation_document import AblationDocument
from gazetune.report.ablation_wording import arm_rows, cell_rows, comparison_rows, measures_line
from gazetune.report.markdown import list_facts, render_table

HOW = (
    "Every arm was trained with every seed to its full budget and scored once on the test split. A difference is that "
    "of the mean accuracies over seeds. Its interval and p are by test pair, correctness averaged over seeds, all "
    "pairs of a prompt together; they say nothing of other seeds. `over seeds` does: it is the interval over pairs and "
    "seeds (docs/statistics.md says how often it covers the truth). p is one-sided where the test asks `better?`, and "
    "Holm's correction is over the comparisons of one purpose."
)
SHARED = (
    "All arms share one setting, that of the base, and none was tuned by itself: an arm that would need another "
    "learning rate is not at its best here."
)


def render_ablation_report(document: AblationDocument) -> str:
    """Return the report of an ablation as Markdown."""
    parts = [f"# Ablation {document.name}", document.verdict]
    if told := measures_line(document):
        parts.append(told)
    parts += [f"- {note}" for note in document.notes]
    for title, (head, *rows) in (
        ("## Arms", arm_rows(document)),
        ("## Comparisons", comparison_rows(document)),
    ):
        parts += [title, render_table(head, rows)]
    parts += [HOW, *([SHARED] if document.shared_setting else [])]
    head, *rows = cell_rows(document)
    parts += ["## Cells", render_table(head, rows), "## What was run", list_facts(document)]
    if document.config:
        parts.append(f"```yaml\n{document.config.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def write_ablation_report(document: AblationDocument, path: Path) -> None:
    """Write the report to `path` atomically."""
    write_atomically(path, render_ablation_report(document), durable=True)


def print_ablation(document: AblationDocument, console: Console) -> None:
    """Print what each arm reached, every comparison, and the verdict."""
    for title, (head, *rows) in (
        (f"Ablation {document.name}", arm_rows(document)),
        ("Comparisons on the same test pairs", comparison_rows(document)),
    ):
        table = Table(title=Text(title), title_justify="left")
        for name in head:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    for line in (*document.notes, document.verdict, measures_line(document)):
        if line:
            console.print(Text(line))
    console.print(Text(f"Report: {document.report}"), soft_wrap=True)
    console.print(Text(f"MLflow: {document.tracking_uri} (run {document.mlflow_parent_run})"), soft_wrap=True)
