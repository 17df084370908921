"""What the margins of cells say of two arms: by item, averaged over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gazetune.ablation.study.contrasts import Contrast
from gazetune.evaluate.margins import Margins
from gazetune.evaluate.statistics import (
    TYPICAL_DISCORDANCE,
    adjust_holm,
    paired_difference,
    paired_difference_over_seeds,
    pairs_needed,
    sign_flip_p,
    smallest_detectable_difference,
)
from gazetune.evaluate.statistics.seeds import FEWEST_SEEDS
from gazetune.report.ablation_document import ComparisonRecord


@dataclass(frozen=True)
class ScoredArm:
    """What the cells of an arm did on the same test pairs."""

    items: NDArray[np.str_]
    """[n] keys of the pairs."""
    groups: NDArray[np.str_]
    """[n] prompts of the pairs."""
    correct: Mapping[int, NDArray[np.float64]]
    """Seed -> [n] of 1, 1/2 or 0."""

    @classmethod
    def from_margins(cls, by_seed: Mapping[int, Margins]) -> ScoredArm:
        """Return an arm from the margins of its cells, by seed.

        Raises
        ------
        ValueError
            When cells have other items.
        """
        first = next(iter(by_seed.values()))
        for seed, margins in by_seed.items():
            if not np.array_equal(margins.items, first.items):
                raise ValueError(f"seed {seed} has other test pairs than the first one")
        return cls(first.items, first.groups, {seed: each.correctness for seed, each in by_seed.items()})

    def stack(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Return the correctness [seeds, n] with these seeds."""
        return np.stack([self.correct[seed] for seed in seeds])


def compare_arms(contrasts: Sequence[Contrast], arms: Mapping[str, ScoredArm]) -> tuple[ComparisonRecord, ...]:
    """Compare arms on their common seeds, p corrected within each purpose.

    Contrasts of arms without a common seed, or with other test pairs, are left out (`explain_missing` says so).
    """
    found = [
        _compare(each, arms[each.arm], arms[each.baseline]) for each in contrasts if explain_missing(each, arms) is None
    ]
    adjusted = dict.fromkeys(range(len(found)), 1.0)
    for purpose in {each.purpose for each in found}:
        members = [number for number, each in enumerate(found) if each.purpose == purpose]
        values = adjust_holm([found[number].p for number in members])
        adjusted |= dict(zip(members, values.tolist(), strict=True))
    return tuple(replace(each, p_adjusted=adjusted[number]) for number, each in enumerate(found))


def explain_missing(contrast: Contrast, arms: Mapping[str, ScoredArm]) -> str | None:
    """Return why two arms cannot be compared; None where they can."""
    for name in (contrast.arm, contrast.baseline):
        if name not in arms:
            return f"no cell of '{name}' is COMPLETE"
    one, other = arms[contrast.arm], arms[contrast.baseline]
    if not one.correct.keys() & other.correct.keys():
        return "they have no seed in common"
    if not np.array_equal(one.items, other.items):
        shared = len(np.intersect1d(one.items, other.items))
        return f"their test pairs differ: {shared} are shared, of {len(one.items)} and {len(other.items)}"
    return None


def _compare(contrast: Contrast, arm: ScoredArm, baseline: ScoredArm) -> ComparisonRecord:
    seeds = [seed for seed in arm.correct if seed in baseline.correct]
    tried, against = arm.stack(seeds), baseline.stack(seeds)
    one, other, groups = tried.mean(axis=0), against.mean(axis=0), arm.groups
    difference = paired_difference(one, other, groups=groups)
    two_sided = contrast.purpose == "setting"
    over_seeds = None
    if len(seeds) >= FEWEST_SEEDS:
        over_seeds = paired_difference_over_seeds(tried, against, groups=groups)
    # How often two single runs differ: what a user who trains one of each would see.
    discordance = float(np.mean(tried != against)) or TYPICAL_DISCORDANCE
    size = difference.difference
    return ComparisonRecord(
        arm=contrast.arm,
        baseline=contrast.baseline,
        purpose=contrast.purpose,
        difference=size,
        ci95=(difference.low, difference.high),
        p=sign_flip_p(one, other, "two-sided" if two_sided else "greater", groups=groups),
        p_adjusted=1.0,
        alternative="two-sided" if two_sided else "greater",
        n=len(one),
        seeds=len(seeds),
        by_seed=tuple((tried - against).mean(axis=1).tolist()),
        seeds_interval=None if over_seeds is None else (over_seeds.low, over_seeds.high),
        seeds_p=None if over_seeds is None else over_seeds.p,
        detectable=smallest_detectable_difference(len(one), discordance),
        pairs_needed=pairs_needed(size, discordance) if size else None,
    )
