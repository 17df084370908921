"""`tpe`: the default. It learns from every trial, stopped and taken over ones included."""

from __future__ import annotations

import optuna

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.samplers.registry import MakeWithSeed, sampler


@sampler(
    "tpe",
    summary="Optuna's tree-structured Parzen estimator, multivariate and grouped by condition",
    source="optuna.samplers.TPESampler; Bergstra et al. 2011, NeurIPS 24; Watanabe 2023, arXiv 2304.11127",
    learns_from_others=True,
)
def prepare_tpe(space: SearchSpace, parallel: bool) -> MakeWithSeed:
    """Return what makes a TPE sampler from a seed."""
    return lambda seed: optuna.samplers.TPESampler(
        seed=seed,
        multivariate=True,
        group=True,
        # Without it, trials proposed while others run are near-duplicates of those.
        constant_liar=parallel,
    )
