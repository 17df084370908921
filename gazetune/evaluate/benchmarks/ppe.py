"""PPE human preference (Frick et al., 2024, arXiv 2410.14872): votes of the Chatbot Arena.

The score is the share of decided votes whose winner has the higher reward; a tie of rewards is wrong. Votes for neither
are left out and counted. Subsets are languages. Who trained on votes of the Arena has seen the like of these.
Source: lmarena/PPE, data set lmarena-ai/PPE-Human-Preference-V1.
"""

from __future__ import annotations

from collections.abc import Sequence

from gazetune.evaluate.benchmarks.registry import BenchmarkItem, BenchmarkRule, ItemResult, PublishedScore, benchmark
from gazetune.evaluate.benchmarks.row_parts import read_id, read_prompt
from gazetune.evaluate.benchmarks.subset_means import average_subsets
from gazetune.preferences.sources.rows import Row, RowError

_BETTER = {"model_a": ("response_1", "response_2"), "model_b": ("response_2", "response_1")}


@benchmark(
    "ppe", "lmarena-ai/PPE-Human-Preference-V1", "test", ("question_id", "winner", "prompt", "response_1", "response_2")
)
class PpeHumanPreference(BenchmarkRule):
    """The rule of PPE's human preference."""

    def read_row(self, row: Row) -> BenchmarkItem | None:
        """Return the row, None for a vote for neither; see `BenchmarkRule`."""
        winner = row.get_text("winner")
        if winner.startswith("tie"):
            return None
        if winner not in _BETTER:
            raise RowError(row.origin, "key 'winner' must be model_a, model_b or tie", f", got {winner!r}")
        chosen, rejected = (row.get_text(key) for key in _BETTER[winner])
        language = row.get_text("language") if row.has_value("language") else "unknown"
        prompt = read_prompt(row, "prompt")
        return BenchmarkItem(row.origin, read_id(row, "question_id"), language, prompt, (chosen,), (rejected,))

    def score(self, results: Sequence[ItemResult]) -> PublishedScore:
        """Return the published score; see `BenchmarkRule`."""
        right = [(each.item.subset, float(each.chosen[0] > each.rejected[0])) for each in results]
        return PublishedScore(sum(value for _, value in right) / len(right), average_subsets(right))
