"""Which trials of a search may win: its own COMPLETE ones that are no controls. And which of them were judged."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, TrialState

from gazetune.config import is_control
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.own_trials import own_trials
from gazetune.trials.messages import StudyRecord


def list_candidates(study: optuna.Study, space: SearchSpace) -> list[FrozenTrial]:
    """Return the trials of a search that may win, by number."""
    return [trial for trial in own_trials(study) if is_candidate(trial, space)]


def list_judged_trials(study: optuna.Study, space: SearchSpace) -> list[FrozenTrial]:
    """Return the trials, by number, that are COMPLETE or that the scheduler stopped for their values; no controls.

    A trial that a cap or somebody stopped has not been judged.
    """
    return [
        trial
        for trial in own_trials(study, (TrialState.COMPLETE, TrialState.PRUNED))
        if not is_control(control_of(trial, space))
        and (
            trial.state == TrialState.COMPLETE
            or (trial.intermediate_values and StudyRecord.read(trial).was_stopped_for_its_values)
        )
    ]


def is_candidate(trial: FrozenTrial, space: SearchSpace) -> bool:
    """Tell whether a trial that the search itself began may win: it is COMPLETE and no control."""
    return trial.state == TrialState.COMPLETE and not is_control(control_of(trial, space))


def control_of(trial: FrozenTrial, space: SearchSpace) -> str:
    """Return the `gaze.control` of a trial that was started."""
    return space.control_of(StudyRecord.read(trial).params)
