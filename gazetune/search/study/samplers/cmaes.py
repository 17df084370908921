"""`cmaes`: an evolution strategy for spaces of numbers."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from gazetune.search.space.axes import IntAxis, RangeAxis
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.samplers.registry import MakeWithSeed, sampler
from gazetune.trials.trial_state import is_infeasible


class CmaEsAwareOfFailures(optuna.samplers.CmaEsSampler):
    """CMA-ES that takes a trial which cannot be trained for as bad as the worst COMPLETE one.

    Optuna's own reads no constraints and leaves such trials out, so that it stays where they are. A generation needs an
    order of its members only, so any value that no COMPLETE trial is below says the same.
    """

    def _get_trials(self, study: optuna.Study) -> list[FrozenTrial]:
        complete = super()._get_trials(study)
        values = [trial.value for trial in complete if trial.value is not None]
        if not values:
            return complete
        worst = max(values) if study.direction == StudyDirection.MINIMIZE else min(values)
        known = {trial.number: trial for trial in complete}
        for trial in study._get_trials(deepcopy=False, use_cache=True):
            if is_infeasible(trial):
                known[trial.number] = copied = copy.deepcopy(trial)
                copied.value = worst
        # The order in which they were begun, as Optuna has it: the last one knows where the strategy stands.
        return [known[number] for number in sorted(known)]

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Do nothing: Optuna warns here that constraints are not used."""


@sampler(
    "cmaes",
    summary="CMA-ES; learns from COMPLETE trials, and from those that cannot be trained",
    source="optuna.samplers.CmaEsSampler; Hansen 2016, arXiv 1604.00772",
    axis_kinds=(RangeAxis, IntAxis),
    conditional_axes=False,
    needs_two_axes=True,
    objectives="one",
)
def prepare_cmaes(space: SearchSpace, parallel: bool) -> MakeWithSeed:
    """Return what makes a CMA-ES sampler from a seed; where it stands is in the study."""
    return lambda seed: CmaEsAwareOfFailures(seed=seed, warn_independent_sampling=False)
