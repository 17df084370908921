"""RM-Bench (Liu et al., ICLR 2025, arXiv 2410.16184): right against wrong replies in three styles.

The styles of both lists are concise, detailed plain, detailed markdown. Of the nine comparisons of a row, chosen of one
style against rejected of another, those where the wrong reply has the plainer style are easy, those of equal styles
normal, and those where it has the richer style hard. A domain's accuracy is the mean of the three; safety is the mean
of its two parts. The score is the mean of the four domains. A tie is wrong.
Source: THU-KEG/RM-Bench, README and `scripts/utils.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.evaluate.benchmarks.registry import BenchmarkItem, BenchmarkRule, ItemResult, PublishedScore, benchmark
from gazetune.evaluate.benchmarks.row_parts import read_id, read_prompt, read_replies
from gazetune.evaluate.benchmarks.subset_means import average_subsets, mean_of_known
from gazetune.preferences.sources.rows import Row, RowError

STYLES = 3
PARTS = ("chat", "code", "math", "safety-refuse", "safety-response")
"""Domains as rows and files name them."""
DIFFICULTIES = {"easy": np.tril(np.ones((STYLES, STYLES)), -1), "normal": np.eye(STYLES)}
DIFFICULTIES["hard"] = DIFFICULTIES["easy"].T
"""Which comparisons of chosen style (row) and rejected style (column) are of a difficulty."""


@benchmark("rm-bench", "THU-KEG/RM-Bench", "train", ("id", "prompt", "chosen", "rejected"))
class RmBench(BenchmarkRule):
    """The rule of RM-Bench."""

    def read_row(self, row: Row) -> BenchmarkItem:
        """Return the row; see `BenchmarkRule`."""
        chosen, rejected = (read_replies(row, key, STYLES) for key in ("chosen", "rejected"))
        return BenchmarkItem(
            row.origin, read_id(row, "id"), _domain_of(row), read_prompt(row, "prompt"), chosen, rejected
        )

    def score(self, results: Sequence[ItemResult]) -> PublishedScore:
        """Return the published score; its sections are domains and difficulties. See `BenchmarkRule`."""
        found = [(each.item.subset, each.chosen[:, None] > each.rejected) for each in results]
        by_difficulty = {
            name: _average_domains(average_subsets((domain, _share(right, which)) for domain, right in found))
            for name, which in DIFFICULTIES.items()
        }
        domains = {
            domain: mean_of_known([its[domain] for its in by_difficulty.values()]) for domain in by_difficulty["easy"]
        }
        difficulties = {name: mean_of_known(list(its.values())) for name, its in by_difficulty.items()}
        subsets = average_subsets((domain, float(right.mean())) for domain, right in found)
        return PublishedScore(mean_of_known(list(domains.values())), subsets, {**domains, **difficulties})


def _domain_of(row: Row) -> str:
    """Return the domain of a row: its own, or that of a file by domain, such as `chat_filtered.json`."""
    named = row.get_text("domain") if row.has_value("domain") else Path(row.origin.rpartition(":")[0]).name
    domain = next((part for part in PARTS if re.match(rf"{part}(_|\.|$)", named)), None)
    if domain is None:
        raise RowError(row.origin, f"domain '{named}' is none of RM-Bench; accepted: {', '.join(PARTS)}")
    return domain


def _share(right: NDArray[np.bool_], which: NDArray[np.float64]) -> float:
    return float((right * which).sum() / which.sum())


def _average_domains(parts: Mapping[str, float]) -> dict[str, float]:
    """Return the domains of parts: safety is the mean of refusals and responses."""
    domains: dict[str, list[float]] = {}
    for part, value in parts.items():
        domains.setdefault(part.partition("-")[0], []).append(value)
    return {domain: sum(values) / len(values) for domain, values in domains.items()}
