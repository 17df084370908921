"""What a study gets before its own trials: configs to try first, and trials of another search."""

from __future__ import annotations

import optuna
from optuna.trial import FixedTrial, create_trial

from gazetune.search.space.points import optuna_parameters, try_first_points
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.own_trials import TAKEN_FROM

_TRY_FIRST = "gazetune:try_first"
"""A user attribute of a trial: the position of its config in `try_first`."""


def seed_study(study: optuna.Study, space: SearchSpace) -> None:
    """Add the space's past trials and enqueue its `try_first` configs, each once however often this is called.

    Past trials are COMPLETE with their values, and `is_taken_over` knows them. An axis that a config leaves out is left
    to the sampler.
    """
    trials = study.get_trials(deepcopy=False)
    known = {trial.user_attrs.get(TAKEN_FROM) for trial in trials}
    for past in space.extras.history:
        if past.source not in known:
            # A fixed trial that was asked for every value has the distributions that Optuna needs beside them.
            asked = FixedTrial(optuna_parameters(space, past.params))
            space.suggest_values(asked)
            study.add_trial(
                create_trial(
                    values=list(past.values),
                    params=asked.params,
                    distributions=asked.distributions,
                    user_attrs={TAKEN_FROM: past.source},
                )
            )
    enqueued = {trial.user_attrs.get(_TRY_FIRST) for trial in trials}
    for number, point in enumerate(try_first_points(space)):
        if number not in enqueued:
            study.enqueue_trial(optuna_parameters(space, point), user_attrs={_TRY_FIRST: number})
