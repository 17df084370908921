"""A comparison of runs as tables and a sentence for each pair of runs."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from gazetune.evaluate.comparison import ComparedPair, Comparison
from gazetune.report.table import make_text_table
from gazetune.report.wording import format_interval, format_percent, format_points


def print_comparison(compared: Comparison, split: str, console: Console | None = None) -> None:
    """Print the accuracy of each run, the differences, and what they mean."""
    console = console or Console(soft_wrap=True)
    rows = [["run", "accuracy % (95 % interval)", "trainings"]]
    for run in compared.runs:
        accuracy = f"{format_percent(run.accuracy)} ({format_interval(run.ci95)})"
        rows.append([run.name, accuracy, str(run.seeds)])
    console.print(make_text_table(f"{compared.n} {split} pairs", rows))
    if compared.left_out:
        console.print(Text(f"{compared.left_out} pairs are left out, which not all runs have"))
    for pair in compared.pairs:
        console.print(Text(compare_sentence(pair, compared.n, len(compared.pairs) > 1)))


def compare_sentence(pair: ComparedPair, n: int, several: bool) -> str:
    """Return in one sentence which of two runs is right more often, and whether chance alone could give that.

    Parameters
    ----------
    pair
        The two runs.
    n
        Pairs that both were scored on.
    several
        Whether more comparisons were made beside this one, so that Holm's p is the one that counts.
    """
    p = f"Holm's p {pair.p_adjusted:.3g} over these comparisons" if several else f"p {pair.p:.3g}"
    told = f"{pair.first} minus {pair.second}: {format_points(pair.difference, pair.ci95)} points, {p}"
    if pair.difference == 0:
        return f"{told}. Both are right equally often."
    if (pair.p_adjusted if several else pair.p) < 0.05:
        better, other = (pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first)
        return f"{told}. {better} is right more often than {other}, more than chance alone would give."
    seen = (
        "" if pair.detectable is None else f"; {n} pairs show only gains above about {100 * pair.detectable:.1f} points"
    )
    more = "" if pair.pairs_needed is None else f", and one of this size takes about {pair.pairs_needed} pairs"
    return f"{told}. Chance alone could give that{seen}{more}."
