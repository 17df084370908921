"""What a search has tried, so that no configuration is trained twice while there is one that was not tried.

A trial's seed is part of its configuration, so trained again it would come to the very same result.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from gazetune.search.space.axes import RangeAxis
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.history import own_trials
from gazetune.search.study.proposal import Combination, Draw, given_parameters

_LOG = logging.getLogger(__name__)
_INHERITS = "nsga2"
"""The sampler that gives a trial the real numbers of an earlier one; others never draw the same one twice."""


class Tried:
    """The combinations of parameters that the trials of one search have, in whatever state they are.

    Read from the study once; from then on the search's driver, which alone proposes trials for it, adds to them. So a
    proposal costs a look-up and not a walk through the study.
    """

    def __init__(self, study: optuna.Study, space: SearchSpace) -> None:
        """Trials that wait in the study count too: they come before any proposal of a sampler."""
        found = (_combination(space, trial) for trial in own_trials(study))
        self._combinations = {combination for combination in found if combination is not None}
        self._size = _size(space)

    def excludes(self, combination: Combination) -> bool:
        """Tell whether a combination was tried while others were not."""
        return combination in self._combinations and len(self._combinations) < self._size

    def add(self, combination: Combination) -> None:
        """Note that a trial has a combination."""
        self._combinations.add(combination)


def tried_in(study: optuna.Study, space: SearchSpace) -> Tried | None:
    """Return what the search of a study has tried; None where every trial has a real number that no other one has."""
    always_real = any(isinstance(axis, RangeAxis) and not axis.when.clauses for axis in space.axes)
    return None if always_real and space.config.search.sampler != _INHERITS else Tried(study, space)


def _size(space: SearchSpace) -> float:
    """Return how many combinations a space has, infinity where they cannot be counted; warn where trials have fewer."""
    reach = space.reach()
    size, trials = reach.size(reach.cases()), space.config.search.trials
    if size.infinite or not size.exact:
        return math.inf
    if trials > size.finite:
        _LOG.warning(
            "search.trials: %d are more than the %d combinations of the space; the others repeat some of them",
            trials, size.finite,
        )  # fmt: skip
    return size.finite


def _combination(space: SearchSpace, trial: FrozenTrial) -> Combination | None:
    """Return a trial's combination; None while some of its parameters are not decided."""
    draw = Draw(given_parameters(trial), _undecided)
    try:
        space.suggest(draw)
    except LookupError:
        return None
    return draw.combination


def _undecided(name: str, distribution: BaseDistribution) -> Any:
    raise LookupError(name)
