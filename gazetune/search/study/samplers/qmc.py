"""`qmc`: quasi-Monte Carlo points, which cover a space more evenly than random ones."""

from __future__ import annotations

import optuna

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.samplers.registry import MakeWithSeed, sampler


@sampler(
    "qmc",
    summary="a scrambled Sobol sequence over the axes that the first trial had; the others are drawn at random",
    source="optuna.samplers.QMCSampler; Bergstra and Bengio 2012, JMLR 13:281-305",
)
def prepare_qmc(space: SearchSpace, parallel: bool) -> MakeWithSeed:
    """Return what makes a Sobol sampler; a proposal's own seed serves the axes alone that are not in the sequence."""
    return lambda seed: optuna.samplers.QMCSampler(
        scramble=True,
        # It scrambles the whole sequence, so it is the same for all proposals; the study counts how much is used.
        seed=space.config.search.seed,
        independent_sampler=optuna.samplers.RandomSampler(seed=seed),
        warn_independent_sampling=False,
    )
