"""What a study has before its own trials: configs to try first, and trials of another search."""

from __future__ import annotations

from collections.abc import Container

import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from gazetune.search.space.points import first_points, optuna_parameters
from gazetune.search.space.search_space import SearchSpace

_HISTORY = "gazetune:from"
_FIRST = "gazetune:try_first"


def seed_study(study: optuna.Study, space: SearchSpace) -> None:
    """Add the space's past trials and enqueue its `try_first` configs, each once however often this is called.

    Past trials are COMPLETE with their values, and `is_history` knows them. An axis that a config leaves out is left to
    the sampler.
    """
    trials = study.get_trials(deepcopy=False)
    known = {trial.user_attrs.get(_HISTORY) for trial in trials}
    for past in space.extras.history:
        if past.source not in known:
            asked = FixedTrial(optuna_parameters(space, past.params))
            space.suggest(asked)
            study.add_trial(
                create_trial(
                    values=list(past.values),
                    params=asked.params,
                    distributions=asked.distributions,
                    user_attrs={_HISTORY: past.source},
                )
            )
    begun = {trial.user_attrs.get(_FIRST) for trial in trials}
    for number, params in enumerate(first_points(space)):
        if number not in begun:
            study.enqueue_trial(optuna_parameters(space, params), user_attrs={_FIRST: number})


def is_history(trial: FrozenTrial) -> bool:
    """Tell whether a trial of a study was taken over from another search."""
    return _HISTORY in trial.user_attrs


def own_trials(study: optuna.Study, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
    """Return the trials that the search itself began, by number; those in some states only where these are given."""
    return [trial for trial in study.get_trials(deepcopy=False, states=states) if not is_history(trial)]
