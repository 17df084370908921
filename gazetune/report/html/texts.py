"""The parts of a report as Markdown and as LaTeX, and the trials of a search as CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

from gazetune.report.evidence import RunEvidence
from gazetune.report.html.section import Section, Table
from gazetune.report.html.trial_plots import has_accuracy
from gazetune.report.markdown import render_table
from gazetune.report.wording import trials_with_ranks

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_MOST_LATEX_ROWS = 30
"""Rows of a LaTeX table; a page of a paper takes no more."""


def render_markdown(title: str, verdict: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the parts as Markdown, without pictures."""
    parts = [f"# {title}", *verdict]
    for section in sections:
        parts += [f"## {section.title}", *section.text]
        if section.table is not None and section.table.rows:
            parts.append(render_table(section.table.head, section.table.rows))
        if section.code:
            parts.append(f"```yaml\n{section.code}\n```")
    return "\n\n".join(parts) + "\n"


def render_latex(title: str, verdict: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the tables as LaTeX for a paper, each a `table`; they need the package booktabs."""
    parts = [f"% {_one_line(title)}. Needs \\usepackage{{booktabs}} and \\usepackage[T1]{{fontenc}}."]
    parts += [f"% {_one_line(paragraph)}" for paragraph in verdict]
    for section in sections:
        if section.table is not None and section.table.rows:
            parts.append(_render_latex_table(section.key, section.title, section.table))
    return "\n\n".join(parts) + "\n"


def _render_latex_table(key: str, title: str, table: Table) -> str:
    rows = table.rows[:_MOST_LATEX_ROWS]
    more = "" if len(rows) == len(table.rows) else f" The first {len(rows)} of {len(table.rows)} rows."
    lines = [
        r"\begin{table}",
        rf"\caption{{{escape_latex(title)}.{more}}}",
        rf"\label{{tab:{key}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.head)}}}",
        r"\toprule",
        " & ".join(map(escape_latex, table.head)) + r" \\",
        r"\midrule",
        *(" & ".join(map(escape_latex, row)) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def escape_latex(text: str) -> str:
    r"""Return a text as LaTeX shows it.

    Examples
    --------
    >>> print(escape_latex("gaze.features 5 %, a_b"))
    gaze.features 5 \%, a\_b
    """
    return "".join(_LATEX.get(char, char) for char in _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def render_trials_csv(evidence: RunEvidence) -> str:
    """Return a row for each trial, best first, with a column for each parameter that any of them has."""
    document = evidence.document
    keys = sorted({key for trial in document.trials for key in trial.params})
    head = ["rank", "trial", "state", "control", "examples", "val_accuracy", "seconds", "gpu_seconds"]
    lines = io.StringIO()
    write = csv.writer(lines, lineterminator="\n")
    write.writerow([*head, *keys, "mlflow_run", "reason", "command"])
    for rank, trial in trials_with_ranks(document):
        gpu = evidence.gpu_seconds.get(trial.id)
        accuracy = repr(float(trial.val_accuracy or 0.0)) if has_accuracy(trial) else ""
        numbers = [trial.examples, accuracy, trial.seconds, "" if gpu is None else gpu]
        params = [_csv_value(trial.params[key]) if key in trial.params else "" for key in keys]
        own = ["" if rank == "control" else rank, trial.id, trial.state, trial.control, *numbers]
        write.writerow(
            [*own, *params, trial.mlflow_run or "", trial.reason or "", evidence.trial_commands.get(trial.id, "")]
        )
    return lines.getvalue()


def _csv_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
