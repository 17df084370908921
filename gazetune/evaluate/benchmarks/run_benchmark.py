"""A model on a benchmark: every reply's reward, the published score with its interval, and the margins of all pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.evaluate.benchmarks.read_items import BenchmarkRows
from gazetune.evaluate.benchmarks.registry import BenchmarkItem, ItemResult, PublishedScore, ScoringRule
from gazetune.evaluate.margins import Margins
from gazetune.evaluate.statistics import LengthBias, measure_length_bias
from gazetune.preferences.pair import Message, PreferencePair, item_key

ScoreChats = Callable[[Sequence[Sequence[Message]]], Sequence[float]]
"""Returns the reward of each conversation; raises InputError where one cannot be scored."""
AT_ONCE = 32
"""Rows that are scored together."""
RESAMPLES = 1_000
FEWEST_FOR_LENGTH = 100
"""Pairs below which the accuracy by difference of length says nothing."""


@dataclass(frozen=True)
class BenchmarkResult:
    """What one model reached."""

    benchmark: str
    model: str
    score: PublishedScore
    ci95: tuple[float, float]
    """Of the published score: its rows drawn anew within each subset, those that belong together as one."""
    n: int
    """Rows that were scored."""
    ties: int
    """Of these, rows whose best right and best wrong reply have equal rewards."""
    left_out: int
    """Rows that the published rule leaves out."""
    skipped: dict[str, int]
    """Reason -> rows that could not be read or scored; they count for nothing."""
    margins: Margins
    """Of every right reply with every wrong one of its row."""
    length: LengthBias | None
    """None for few pairs."""

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints; a section without rows is null."""
        return {
            "benchmark": self.benchmark,
            "model": self.model,
            "accuracy": self.score.accuracy,
            "n": self.n,
            "ci95": list(self.ci95),
            "subsets": dict(self.score.subsets),
            "sections": {name: None if math.isnan(its) else its for name, its in self.score.sections.items()},
            "ties": self.ties,
            "left_out": self.left_out,
            "skipped": self.skipped,
        }


@dataclass
class RowProgress:
    """How many of the rows are done."""

    rows: int
    done: int = 0

    def describe(self) -> str:
        """Return it in words."""
        return f"{self.done}/{self.rows} rows scored"


def run_benchmark(
    name: str,
    rule: ScoringRule,
    rows: BenchmarkRows,
    model: str,
    score_chats: ScoreChats,
    progress: RowProgress | None = None,
) -> BenchmarkResult:
    """Score the rows of a benchmark with a model.

    Parameters
    ----------
    progress
        Told after each part how many rows are done.

    Raises
    ------
    InputError
        When none of the rows can be scored.
    """
    found = replace(rows, skipped=rows.skipped.copy())
    results: list[ItemResult] = []
    for start in range(0, len(rows.items), AT_ONCE):
        results += _score_items(rows.items[start : start + AT_ONCE], score_chats, found)
        if progress is not None:
            progress.done = min(start + AT_ONCE, len(rows.items))
    if not results:
        raise InputError(f"{name}: none of {len(rows.items)} rows can be scored; the first: {found.first_skipped}")
    margins = collect_pair_margins(results)
    enough = len(margins) >= FEWEST_FOR_LENGTH
    return BenchmarkResult(
        benchmark=name,
        model=model,
        score=rule.score(results),
        ci95=published_interval(rule, results),
        n=len(results),
        ties=sum(each.has_tie for each in results),
        left_out=rows.left_out,
        skipped=dict(found.skipped),
        margins=margins,
        length=measure_length_bias(margins.margins, margins.words) if enough else None,
    )


def _score_items(items: Sequence[BenchmarkItem], score_chats: ScoreChats, found: BenchmarkRows) -> list[ItemResult]:
    """Score rows together; where one of them cannot be scored, each by itself, to know which."""
    chats = [item.list_chats() for item in items]
    try:
        rewards = np.array(score_chats([chat for each in chats for chat in each]), dtype=np.float64)
    except InputError as error:
        if len(items) > 1:
            return [result for item in items for result in _score_items([item], score_chats, found)]
        found.skip(error)
        return []
    results = []
    ends = np.cumsum([len(each) for each in chats])
    for item, own in zip(items, np.split(rewards, ends[:-1]), strict=True):
        if np.isfinite(own).all():
            results.append(ItemResult(item, own[: len(item.chosen)], own[len(item.chosen) :]))
        else:
            found.skip(InputError("the reward is no finite number"))
    return results


def published_interval(
    rule: ScoringRule, results: Sequence[ItemResult], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a published score.

    Rows are drawn with replacement within their subset, as the subsets of a benchmark are what they are. Rows of one
    prompt, and rows that are scored together, are drawn together.
    """
    units: dict[str, dict[object, list[ItemResult]]] = {}
    for each in results:
        link = rule.link_of(each.item)
        unit = each.item.prompt if link is None else link
        units.setdefault(each.item.subset, {}).setdefault(unit, []).append(each)
    strata = [list(its.values()) for its in units.values()]
    generator = np.random.default_rng(seed)
    scores = []
    for _ in range(resamples):
        drawn: list[ItemResult] = []
        for stratum in strata:
            for number, at in enumerate(generator.integers(0, len(stratum), len(stratum)).tolist()):
                drawn += [_rename(rule, each, number) for each in stratum[at]]
        scores.append(rule.score(drawn).accuracy)
    low, high = np.percentile(scores, [2.5, 97.5]).tolist()
    return low, high


def _rename(rule: ScoringRule, result: ItemResult, draw: int) -> ItemResult:
    """Return a row that was drawn, so that rows that belong together still do when they are drawn twice."""
    if rule.link_of(result.item) is None:
        return result
    return replace(result, item=replace(result.item, id=f"{result.item.id}#{draw}"))


def collect_pair_margins(results: Sequence[ItemResult]) -> Margins:
    """Return the rewards of every right reply of a row with every wrong one, keyed as any preference pair."""
    items: list[str] = []
    groups: list[str] = []
    rewards: list[tuple[float, float]] = []
    words: list[tuple[int, int]] = []
    for each in results:
        item = each.item
        group = item_key(PreferencePair(item.prompt, "", "", "", ""))
        for chosen, high in zip(item.chosen, each.chosen.tolist(), strict=True):
            for rejected, low in zip(item.rejected, each.rejected.tolist(), strict=True):
                items.append(item_key(PreferencePair(item.prompt, chosen, rejected, group, item.origin)))
                groups.append(group)
                rewards.append((high, low))
                words.append((len(chosen.split()), len(rejected.split())))
    pairs: NDArray[np.int32] = np.array(words, dtype=np.int32)
    return Margins(np.array(items), np.array(groups), np.array(rewards, dtype=np.float64), pairs)
