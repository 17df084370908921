"""`random`: the baseline that every other sampler has to beat."""

from __future__ import annotations

import optuna

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.samplers.registry import MakeWithSeed, sampler


@sampler(
    "random",
    summary="each axis by itself",
    source="optuna.samplers.RandomSampler; Bergstra and Bengio 2012, JMLR 13:281-305",
)
def prepare_random(space: SearchSpace, parallel: bool) -> MakeWithSeed:
    """Return what makes a random sampler from a seed."""
    return lambda seed: optuna.samplers.RandomSampler(seed=seed)
