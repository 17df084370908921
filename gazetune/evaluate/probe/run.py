"""The probe: length alone, each measure, all measures, each of them with length, on the same pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.evaluate.accuracy import pair_correctness
from gazetune.evaluate.probe.crossvalidate import FOLDS, divide_into_folds, predict_margins
from gazetune.evaluate.probe.features import ProbeItems
from gazetune.evaluate.statistics import adjust_holm, sign_flip_p
from gazetune.evaluate.statistics.bootstrap import bca_interval, group_items

LENGTH, ALL, ALL_WITH_LENGTH = "length", "all measures", "all measures + length"
LEVEL = 0.05
"""Of the tests by measure, after Holm's adjustment."""
FEWEST_PAIRS = 50
"""With fewer, a fold of the fit has less than 40 pairs for 17 numbers, and no gain below 16 points could show."""


@dataclass(frozen=True, slots=True)
class ProbeScore:
    """How often a set of features is right on pairs that it was not fitted on."""

    accuracy: float
    ci95: tuple[float, float]
    """Bootstrap interval over groups."""


@dataclass(frozen=True, slots=True)
class ProbeComparison:
    """Features with a measure against length alone, on the same pairs."""

    model: str
    baseline: str
    difference: float
    """Of the accuracies."""
    ci95: tuple[float, float]
    """Bootstrap interval over groups."""
    p: float
    """One-sided, by flipping the signs of whole groups."""
    p_adjusted: float
    """Of a single measure: by Holm over the measures. Of all measures: `p`, the one question that is asked first."""
    n: int


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What gaze says of the preference, alone and beside length."""

    pairs: int
    groups: int
    folds: int
    scores: dict[str, ProbeScore]
    """By set of features: `length`, `nFix`, ..., `all measures`, `nFix + length`, ..., `all measures + length`."""
    comparisons: tuple[ProbeComparison, ...]
    """All measures with length against length, then each measure with length against length."""
    measures: tuple[str, ...]
    """Those that add to length by themselves."""
    discordance: float
    """Share of the pairs on which all measures with length and length alone disagree."""

    @property
    def overall(self) -> ProbeComparison:
        """All measures with length against length alone."""
        return self.comparisons[0]

    @property
    def found(self) -> bool:
        """Whether all measures together add to length, more than chance."""
        return self.overall.ci95[0] > 0

    def to_json(self) -> dict[str, object]:
        """Return the result as plain values."""
        return {**asdict(self), "found": self.found}


def run_probe(items: ProbeItems, by_measure: bool = True, seed: int = 0) -> ProbeResult:
    """Compare sets of features on pairs that they were not fitted on.

    Parameters
    ----------
    items
        The pairs.
    by_measure
        Whether each measure is asked about by itself, too. A measure that is the same on all replies is left out.
    seed
        Of the order in which groups are dealt to folds, and of the resampling.

    Raises
    ------
    InputError
        For too few pairs or groups.
    """
    groups = len(np.unique(items.groups))
    if not has_enough(items):
        raise InputError(
            f"the probe has {len(items)} pairs in {groups} groups; accepted: at least {FEWEST_PAIRS} pairs in "
            f"{FOLDS} groups"
        )
    fold = divide_into_folds(items.groups, FOLDS, seed)
    sets = _list_feature_sets(items, by_measure)
    correct = {name: pair_correctness(predict_margins(features, fold)) for name, features in sets.items()}
    overall = _compare_with_length(correct, ALL_WITH_LENGTH, items.groups, seed)
    measures = [name for name in MEASURES if name in sets]
    single = [_compare_with_length(correct, _with_length(name), items.groups, seed) for name in measures]
    adjusted = adjust_holm([each.p for each in single]).tolist()
    single = [replace(each, p_adjusted=p) for each, p in zip(single, adjusted, strict=True)]
    return ProbeResult(
        pairs=len(items),
        groups=groups,
        folds=FOLDS,
        scores={name: _score(each, items.groups, seed) for name, each in correct.items()},
        comparisons=(overall, *single),
        measures=tuple(name for name, each in zip(measures, single, strict=True) if each.p_adjusted < LEVEL),
        discordance=float(np.mean(correct[ALL_WITH_LENGTH] != correct[LENGTH])),
    )


def has_enough(items: ProbeItems) -> bool:
    """Tell whether there are pairs and groups enough to ask."""
    return len(items) >= FEWEST_PAIRS and len(np.unique(items.groups)) >= FOLDS


def _with_length(name: str) -> str:
    return f"{name} + {LENGTH}"


def _list_feature_sets(items: ProbeItems, by_measure: bool) -> dict[str, NDArray[np.float64]]:
    """Return features [n, f] by the name of their set."""
    everything = items.measures.reshape(len(items), -1)
    sets = {LENGTH: items.length}
    if by_measure:
        differs = np.any(items.measures, axis=(0, 2)).tolist()
        single = {name: items.measures[:, index] for index, name in enumerate(MEASURES) if differs[index]}
        sets |= {**single, ALL: everything}
        sets |= {_with_length(name): np.hstack([items.length, features]) for name, features in single.items()}
    return {**sets, ALL_WITH_LENGTH: np.hstack([items.length, everything])}


def _score(correct: NDArray[np.float64], groups: NDArray[np.str_], seed: int) -> ProbeScore:
    ends = bca_interval(group_items(correct, groups), 0.95, np.random.default_rng(seed))
    return ProbeScore(float(correct.mean()), ends)


def _compare_with_length(
    correct: dict[str, NDArray[np.float64]], name: str, groups: NDArray[np.str_], seed: int
) -> ProbeComparison:
    # Not `paired_difference`: its test imports scipy.stats, which takes longer than all of the probe.
    difference = group_items(correct[name] - correct[LENGTH], groups)
    ends = bca_interval(difference, 0.95, np.random.default_rng(seed))
    p = sign_flip_p(correct[name], correct[LENGTH], "greater", seed, groups)
    return ProbeComparison(name, LENGTH, difference.mean, ends, p, p, len(correct[name]))
