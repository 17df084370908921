"""What models reached on a benchmark: on the terminal, and as tables for LaTeX and spreadsheets."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from gazetune.evaluate.benchmarks.run_benchmark import BenchmarkResult
from gazetune.report.html.texts import escape_latex
from gazetune.report.table import make_text_table
from gazetune.report.wording import format_interval, format_percent


def print_benchmark(results: Sequence[BenchmarkResult], console: Console | None = None) -> None:
    """Print the score of each model, its sections and subsets, and what was left out."""
    console = console or Console(soft_wrap=True)
    console.print(make_text_table(results[0].benchmark, tabulate_benchmark(results)))
    for each in results:
        console.print(Text(describe_counts(each)))


def tabulate_benchmark(results: Sequence[BenchmarkResult]) -> list[list[str]]:
    """Return head and rows: a model a column; the score, its interval, then sections and subsets, in percent."""
    rows = [["", *(each.model for each in results)]]
    rows.append(["score %", *(format_percent(each.score.accuracy) for each in results)])
    rows.append(["95 % interval", *(format_interval(each.ci95) for each in results)])
    for kind in ("sections", "subsets"):
        named = [getattr(each.score, kind) for each in results]
        for name in dict.fromkeys(name for its in named for name in its):
            rows.append([name, *(_format_share(its.get(name)) for its in named)])
    return rows


def describe_counts(result: BenchmarkResult) -> str:
    """Return in a sentence how many rows count, how many are ties, and which do not count and why."""
    told = f"{result.model}: {result.n} rows scored, {result.ties} of them ties"
    if result.left_out:
        told += f"; {result.left_out} left out by the published rule"
    for reason, count in sorted(result.skipped.items()):
        told += f"; {count} skipped: {reason}"
    if result.length is not None:
        prefers, labels = (format_percent(each) for each in _length_shares(result))
        told += f"; it prefers the longer reply in {prefers} % of the pairs, the labels in {labels} %"
    return told


def benchmark_csv(results: Sequence[BenchmarkResult]) -> str:
    """Return the results as CSV: a row for each model and score, section or subset."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["benchmark", "model", "of", "name", "accuracy", "low", "high", "n", "ties"])
    for each in results:
        writer.writerow([each.benchmark, each.model, "score", "", each.score.accuracy, *each.ci95, each.n, each.ties])
        for kind in ("sections", "subsets"):
            for name, value in getattr(each.score, kind).items():
                shown = "" if math.isnan(value) else value
                writer.writerow([each.benchmark, each.model, kind[:-1], name, shown, "", "", "", ""])
    return stream.getvalue()


def benchmark_latex(results: Sequence[BenchmarkResult]) -> str:
    """Return the table of `tabulate_benchmark` for LaTeX (package `booktabs`)."""
    head, *rows = [[escape_latex(cell) for cell in row] for row in tabulate_benchmark(results)]
    lines = [" & ".join(row) + r" \\" for row in rows]
    columns = "l" + "r" * len(results)
    parts = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule", *lines]
    return "\n".join([*parts, r"\bottomrule", r"\end{tabular}", ""])


def _length_shares(result: BenchmarkResult) -> tuple[float, float]:
    assert result.length is not None
    return result.length.prefers_longer, result.length.labels_prefer_longer


def _format_share(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else format_percent(value)
