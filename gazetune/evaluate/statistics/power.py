"""What a number of pairs can show, and how many pairs or seeds something takes to show.

Of a paired comparison only the pairs count on which two models differ: the discordant ones. A difference of accuracies
d with a share s of discordant pairs has the variance s - d^2 over the pairs. A difference is found when the interval of
`paired_difference` excludes 0; McNemar's exact test, which is careful, finds it a little less often.
"""

from __future__ import annotations

import math

TYPICAL_DISCORDANCE = 0.17
"""Share of pairs on which two good models differ, before anything is known of them.

Among the 60 configurations of the recorded search (tests/bench/regret_table.npz) that did best, this is the median
share of validation pairs on which another one differs from the best one.
"""
LEVEL, POWER = 0.05, 0.8
"""Two-sided level of the test, and chance to find what is there; 0.8 is Cohen's convention (1988)."""


def smallest_detectable_difference(
    pairs: int, discordance: float = TYPICAL_DISCORDANCE, level: float = LEVEL, power: float = POWER
) -> float | None:
    """Return the smallest difference of accuracies that n pairs find with the given power.

    This is the sample size of Connor (1987, Biometrics 43:207-211), solved for the difference.

    Parameters
    ----------
    pairs
        Items that both models are scored on.
    discordance
        Share of them on which the models differ, in (0, 1]; where the difference is larger, it is taken for the share.
    level, power
        Of the two-sided test, in (0, 1).

    Returns
    -------
    In 0..1, or None where even a model that is right on every pair would not be found better than one that is never.

    Raises
    ------
    ValueError
        For no pairs or a discordance outside (0, 1].

    Examples
    --------
    >>> f"{100 * smallest_detectable_difference(74):.1f} points"
    '13.2 points'
    >>> f"{100 * smallest_detectable_difference(20):.1f} points"
    '34.8 points'
    """
    if pairs < 1 or not 0 < discordance <= 1:
        raise ValueError(f"needs pairs and a discordance in (0, 1], got {pairs} and {discordance}")
    z_level, z_power = _quantiles(level, power)
    inside = pairs + z_power**2 - z_level**2
    if inside >= 0:
        reach = math.sqrt(pairs) * z_level + z_power * math.sqrt(inside)
        difference = math.sqrt(discordance) * reach / (pairs + z_power**2)
        if difference <= discordance:
            return difference
    # So large a difference takes more discordant pairs: as many as it has at least.
    from scipy.optimize import brentq

    def excess(size: float) -> float:
        return math.sqrt(size * pairs) - z_level - z_power * math.sqrt(1 - size)

    return float(brentq(excess, discordance, 1.0)) if excess(1.0) >= 0 else None


def pairs_needed(
    difference: float, discordance: float = TYPICAL_DISCORDANCE, level: float = LEVEL, power: float = POWER
) -> int:
    """Return how many pairs it takes to find a difference of accuracies with the given power (Connor 1987).

    Parameters
    ----------
    difference
        Of the accuracies, other than 0, in -1..1.
    discordance
        Share of the pairs on which the models differ; at least as large as the difference, and taken so.

    Raises
    ------
    ValueError
        For a difference of 0.

    Examples
    --------
    >>> pairs_needed(0.05, discordance=0.2)
    626
    """
    size = abs(difference)
    if not 0 < size <= 1:
        raise ValueError(f"the difference must be within -1 and 1 and not 0, got {difference}")
    z_level, z_power = _quantiles(level, power)
    share = min(1.0, max(discordance, size))
    root = z_level * math.sqrt(share) + z_power * math.sqrt(share - size**2)
    return math.ceil(round((root / size) ** 2, 9))


def power_of_pairs(pairs: int, difference: float, discordance: float, level: float = LEVEL) -> float:
    """Return the chance that n pairs find a difference of accuracies (Connor 1987).

    Raises
    ------
    ValueError
        When the difference is larger than the discordance.

    Examples
    --------
    >>> round(power_of_pairs(626, 0.05, 0.2), 2)
    0.8
    """
    size = abs(difference)
    if size > discordance:
        raise ValueError(f"models that differ on a share {discordance} of the pairs cannot be {size} apart")
    from scipy import stats

    spread = math.sqrt(discordance - size**2)
    reach = math.sqrt(pairs) * size - float(stats.norm.ppf(1 - level / 2)) * math.sqrt(discordance)
    return float(stats.norm.cdf(reach / spread)) if spread > 0 else float(reach > 0)


def seeds_needed(difference: float, seed_sd: float, level: float = LEVEL, power: float = POWER) -> int:
    """Return how many seeds per arm it takes to find a difference of the arms' mean accuracies.

    The paired t-test over seeds finds it with the given power; pairs are taken to be plenty. The power is that of the
    noncentral t-distribution, as scipy has it.

    Parameters
    ----------
    difference
        Of the mean accuracies, other than 0.
    seed_sd
        Standard deviation over seeds of the difference of two runs with the same seed, in units of the difference.

    Raises
    ------
    ValueError
        For a difference of 0 or a negative `seed_sd`.

    Examples
    --------
    >>> seeds_needed(0.02, seed_sd=0.02)
    10
    """
    if difference == 0 or seed_sd < 0:
        raise ValueError(f"needs a difference other than 0 and a seed_sd of at least 0, got {difference}, {seed_sd}")
    from scipy import stats

    if seed_sd == 0:
        return 2
    effect = abs(difference) / seed_sd
    seeds, z = 2, sum(_quantiles(level, power))
    start = max(2, math.floor((z / effect) ** 2))  # the normal distribution's answer, which is never too large
    for seeds in range(start, start + 50):
        threshold, shift = float(stats.t.ppf(1 - level / 2, seeds - 1)), effect * math.sqrt(seeds)
        if stats.nct.sf(threshold, seeds - 1, shift) >= power:
            break
    return seeds


def _quantiles(level: float, power: float) -> tuple[float, float]:
    from scipy import stats

    return float(stats.norm.ppf(1 - level / 2)), float(stats.norm.ppf(power))
