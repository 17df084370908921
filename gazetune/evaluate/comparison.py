"""Several runs on the same items: how right each one is, and how the first differs from each of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.evaluate.margins import Margins
from gazetune.evaluate.statistics import (
    TYPICAL_DISCORDANCE,
    accuracy_interval,
    adjust_holm,
    paired_difference,
    paired_effect_size,
    pairs_needed,
    sign_flip_p,
    smallest_detectable_difference,
)


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of the runs."""

    name: str
    accuracy: float
    ci95: tuple[float, float]
    """Of the accuracy, for independent pairs."""
    seeds: int
    """Trainings that the accuracy is the mean of."""


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """The first run against another one."""

    first: str
    second: str
    difference: float
    """Accuracy of the first less that of the second, on the same pairs."""
    ci95: tuple[float, float]
    """Bootstrap interval, whole prompts resampled."""
    p: float
    """Two-sided: McNemar's exact test, or that of sign flips where prompts have several pairs or runs several seeds."""
    p_adjusted: float
    """Holm's, over all comparisons made here."""
    effect_size: float
    """Cohen's d_z of the differences."""
    detectable: float | None
    """The smallest difference that these pairs find with a chance of 80 %; None where none is."""
    pairs_needed: int | None
    """Pairs that a difference of this size takes to be found so; None for no difference."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs compared on the items that all of them have."""

    runs: tuple[ComparedRun, ...]
    pairs: tuple[ComparedPair, ...]
    n: int
    """Items."""
    left_out: int
    """Items that not all runs have; more than 0 only where that was asked for."""

    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "n": self.n,
            "left_out": self.left_out,
            "runs": [asdict(run) for run in self.runs],
            "comparisons": [asdict(pair) for pair in self.pairs],
        }


def compare_runs(runs: Mapping[str, Sequence[Margins]], shared: bool = False) -> Comparison:
    """Compare the first run with each of the others, item by item.

    Parameters
    ----------
    runs
        By name, at least two: the margins of one training, or of one for each seed. A mean over seeds is taken item by
        item, so that what is compared are arms, and the interval says nothing of other seeds.
    shared
        Compare on the items that all runs have, where they differ.

    Raises
    ------
    InputError
        When the items differ, or none is shared; when a margin is NaN.
    """
    runs = {name: [_number_repeats(margins) for margins in each] for name, each in runs.items()}
    everything = [margins for each in runs.values() for margins in each]
    items, left_out = _shared_items(runs, everything, shared)
    correct = {name: _mean_correctness(name, each, items) for name, each in runs.items()}
    groups = _rows_of(everything[0], items).groups
    first, *others = correct
    seeds = {name: len(each) for name, each in runs.items()}
    found = [_compare(first, other, correct, groups, seeds[first] + seeds[other] > 2) for other in others]
    adjusted = adjust_holm([pair.p for pair in found])
    return Comparison(
        tuple(
            ComparedRun(name, float(right.mean()), accuracy_interval(right), seeds[name])
            for name, right in correct.items()
        ),
        tuple(replace(pair, p_adjusted=float(p)) for pair, p in zip(found, adjusted, strict=True)),
        len(items),
        left_out,
    )


def _number_repeats(margins: Margins) -> Margins:
    """Return margins whose items differ: a pair that a file holds twice counts twice."""
    seen: Counter[str] = Counter()
    items = []
    for item in margins.items.tolist():
        seen[item] += 1
        items.append(item if seen[item] == 1 else f"{item} {seen[item]}")
    return replace(margins, items=np.array(items))


def _shared_items(
    runs: Mapping[str, Sequence[Margins]], everything: Sequence[Margins], shared: bool
) -> tuple[NDArray[np.str_], int]:
    """Return the items [n] that all margins have, sorted, and how many others there are."""
    common, union = set(everything[0].items), set(everything[0].items)
    for margins in everything[1:]:
        common &= set(margins.items)
        union |= set(margins.items)
    left_out = len(union) - len(common)
    if not common or (left_out and not shared):
        sizes = ", ".join(f"{name} {len(each[0])}" for name, each in runs.items())
        way_out = "; --shared compares on these alone" if common else ""
        raise InputError(f"the runs have other items ({sizes}), of which {len(common)} are shared{way_out}")
    return np.array(sorted(common)), left_out


def _rows_of(margins: Margins, items: NDArray[np.str_]) -> Margins:
    """Return the rows of these items, in their order."""
    order = np.argsort(margins.items, kind="stable")
    rows = order[np.searchsorted(margins.items, items, sorter=order)]
    return Margins(margins.items[rows], margins.groups[rows], margins.rewards[rows], margins.words[rows])


def _mean_correctness(name: str, runs: Sequence[Margins], items: NDArray[np.str_]) -> NDArray[np.float64]:
    correct = np.mean([_rows_of(margins, items).correctness for margins in runs], axis=0)
    if np.isnan(correct).any():
        raise InputError(f"{name}: {int(np.isnan(correct).sum())} margins are NaN, so it has no accuracy")
    return np.asarray(correct, dtype=np.float64)


def _compare(
    first: str, second: str, correct: Mapping[str, NDArray[np.float64]], groups: NDArray[np.str_], averaged: bool
) -> ComparedPair:
    """Return how two runs differ; McNemar's test takes no correctness that is averaged over seeds."""
    found = paired_difference(correct[first], correct[second], groups=groups)
    p = sign_flip_p(correct[first], correct[second], groups=groups) if averaged else found.p
    # Means over seeds differ by less than 1 on a pair, and say more; so the figures are those of a search's report.
    discordance = float(np.mean((correct[first] - correct[second]) ** 2)) or TYPICAL_DISCORDANCE
    return ComparedPair(
        first=first,
        second=second,
        difference=found.difference,
        ci95=(found.low, found.high),
        p=p,
        p_adjusted=p,
        effect_size=paired_effect_size(correct[first], correct[second]).d_z,
        detectable=smallest_detectable_difference(len(groups), discordance),
        pairs_needed=pairs_needed(found.difference, discordance) if found.difference else None,
    )
