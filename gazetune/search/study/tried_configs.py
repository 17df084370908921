"""What a search has tried, so that no configuration is trained twice while there is one that was not tried.

A trial's seed is part of its configuration, so trained again it would come to the very same result.
"""

from __future__ import annotations

import logging
import math

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from gazetune.search.space.axes import RangeAxis
from gazetune.search.space.draws import Combination, Draw
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.constrained_sampling import TriedCombinations, given_parameters
from gazetune.search.study.own_trials import own_trials
from gazetune.search.study.samplers import SAMPLERS

_LOG = logging.getLogger(__name__)


def read_tried(study: optuna.Study, space: SearchSpace) -> TriedCombinations | None:
    """Return what the search of a study has tried; None where every trial has a real number that no other one has.

    Trials that wait in the study count too: they come before any proposal of a sampler. The study is read once; from
    then on the search's driver, which alone proposes trials for it, adds to what is returned. So a proposal costs a
    look-up and not a walk through the study.
    """
    always_real = any(isinstance(axis, RangeAxis) and not axis.when.clauses for axis in space.axes)
    if always_real and not SAMPLERS[space.config.search.sampler].repeats_numbers:
        return None
    found = (_read_combination(space, trial) for trial in own_trials(study))
    return TriedCombinations((combination for combination in found if combination is not None), _space_size(space))


def _space_size(space: SearchSpace) -> float:
    """Return how many combinations a space has, infinity where they cannot be counted; warn where trials have fewer."""
    size, trials = space.count_combinations(), space.config.search.trials
    if size.infinite or not size.exact:
        return math.inf
    if trials > size.finite:
        _LOG.warning(
            "search.trials: %d are more than the %d combinations of the space; the others repeat some of them",
            trials,
            size.finite,
        )
    return size.finite


def _read_combination(space: SearchSpace, trial: FrozenTrial) -> Combination | None:
    """Return a trial's combination; None while some of its parameters are not decided."""
    draw = Draw(given_parameters(trial), _refuse_to_answer)
    try:
        space.suggest_values(draw)
    except LookupError:
        return None
    return draw.combination


def _refuse_to_answer(name: str, distribution: BaseDistribution) -> object:
    raise LookupError(name)
