"""The trials of a search with several objectives that no other trial is better than."""

from __future__ import annotations

from operator import ge

import optuna
from optuna.trial import TrialState

from gazetune.config import SearchConfig
from gazetune.report.document import ParetoRecord
from gazetune.search.study.objectives import objectives_of
from gazetune.search.study.own_trials import own_trials
from gazetune.trials.messages import trial_id_of


def find_pareto_front(study: optuna.Study, search: SearchConfig) -> tuple[ParetoRecord, ...]:
    """Return the COMPLETE trials that no other one of the search dominates; nothing with one objective."""
    objectives = objectives_of(search)
    if len(objectives) == 1:
        return ()
    # Not `study.best_trials`: the trials of another search have no model here, and must not hide those that have.
    complete = own_trials(study, (TrialState.COMPLETE,))
    points = [
        tuple(objective.oriented(value) for objective, value in zip(objectives, trial.values, strict=True))
        for trial in complete
    ]
    return tuple(
        ParetoRecord(
            trial_id_of(trial.number),
            {objective.name: value for objective, value in zip(objectives, trial.values, strict=True)},
        )
        for trial, point in zip(complete, points, strict=True)
        if not any(other != point and all(map(ge, other, point)) for other in points)
    )
