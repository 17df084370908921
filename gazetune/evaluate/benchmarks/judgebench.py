"""JudgeBench (Tan et al., ICLR 2025, arXiv 2410.12784): two replies of one model, of which one is objectively right.

The score is the share of pairs whose right reply has the higher reward; a tie is wrong. Its results are reported for
knowledge (MMLU-Pro), reasoning and math (LiveBench) and coding (LiveCodeBench).
Source: ScalerLab/JudgeBench.
"""

from __future__ import annotations

from collections.abc import Sequence

from gazetune.evaluate.benchmarks.registry import BenchmarkItem, BenchmarkRule, ItemResult, PublishedScore, benchmark
from gazetune.evaluate.benchmarks.row_parts import read_id, read_prompt
from gazetune.evaluate.benchmarks.subset_means import average_subsets
from gazetune.preferences.sources.rows import Row, RowError

SECTIONS = {
    "mmlu-pro": "knowledge",
    "livebench-reasoning": "reasoning",
    "livebench-math": "math",
    "livecodebench": "coding",
}
"""Beginning of a row's source -> section."""
_BETTER = {"A>B": ("response_A", "response_B"), "B>A": ("response_B", "response_A")}


@benchmark(
    "judgebench", "ScalerLab/JudgeBench", "gpt", ("pair_id", "source", "question", "response_A", "response_B", "label")
)
class JudgeBench(BenchmarkRule):
    """The rule of JudgeBench."""

    def read_row(self, row: Row) -> BenchmarkItem:
        """Return the row; see `BenchmarkRule`."""
        source, label = row.get_text("source"), row.get_text("label")
        section = next((name for start, name in SECTIONS.items() if source.startswith(start)), None)
        if section is None:
            raise RowError(row.origin, f"source '{source}' is none of JudgeBench")
        if label not in _BETTER:
            raise RowError(row.origin, "key 'label' must be A>B or B>A", f", got {label!r}")
        chosen, rejected = (row.get_text(key) for key in _BETTER[label])
        prompt = read_prompt(row, "question")
        return BenchmarkItem(row.origin, read_id(row, "pair_id"), section, prompt, (chosen,), (rejected,))

    def score(self, results: Sequence[ItemResult]) -> PublishedScore:
        """Return the published score; see `BenchmarkRule`."""
        right = [(each.item.subset, float(each.chosen[0] > each.rejected[0])) for each in results]
        subsets = average_subsets(right)
        return PublishedScore(sum(value for _, value in right) / len(right), subsets)
