"""`cmaes`: an evolution strategy for spaces of numbers."""

from __future__ import annotations

import optuna

from gazetune.search.space.axes import IntAxis, RangeAxis
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.samplers.registry import MakeWithSeed, sampler


@sampler(
    "cmaes",
    summary="CMA-ES; learns from COMPLETE trials alone",
    source="optuna.samplers.CmaEsSampler; Hansen 2016, arXiv 1604.00772",
    axis_kinds=(RangeAxis, IntAxis),
    conditional_axes=False,
    needs_two_axes=True,
    objectives="one",
)
def prepare_cmaes(space: SearchSpace, parallel: bool) -> MakeWithSeed:
    """Return what makes a CMA-ES sampler from a seed; where it stands is in the study."""
    return lambda seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
