"""`nsga2`: an evolutionary algorithm for several objectives at once."""

from __future__ import annotations

import optuna

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.samplers.registry import MakeWithSeed, sampler


@sampler(
    "nsga2",
    summary=(
        "NSGA-II in generations of a fifth of the trials, 4 to 50; a conditional axis that not all trials have is "
        "drawn at random"
    ),
    source="optuna.samplers.NSGAIISampler; Deb et al. 2002, IEEE Transactions on Evolutionary Computation 6(2)",
    objectives="several",
    repeats_numbers=True,  # a child may have all values of a parent
)
def prepare_nsga2(space: SearchSpace, parallel: bool) -> MakeWithSeed:
    """Return what makes an NSGA-II sampler from a seed."""
    size = generation_size(space.config.search.trials)
    return lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=size)


def generation_size(trials: int) -> int:
    """Return the trials of one generation: Optuna's 50, or fewer so that a search has five generations.

    Examples
    --------
    >>> [generation_size(trials) for trials in (5, 100, 1000)]
    [4, 20, 50]
    """
    return min(50, max(4, trials // 5))
