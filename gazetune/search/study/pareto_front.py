"""The trials of a search with several objectives that no other trial is better than."""

from __future__ import annotations

from operator import ge

import optuna

from gazetune.report.document import ParetoRecord
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.candidates import list_candidates
from gazetune.search.study.objectives import objectives_of
from gazetune.trials.messages import trial_id_of


def find_pareto_front(study: optuna.Study, space: SearchSpace) -> tuple[ParetoRecord, ...]:
    """Return the trials that may win and that no other such trial dominates; nothing with one objective."""
    objectives = objectives_of(space.config.search)
    if len(objectives) == 1:
        return ()
    # Not `study.best_trials`: the trials of another search have no model here, and must not hide those that have.
    complete = list_candidates(study, space)
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
