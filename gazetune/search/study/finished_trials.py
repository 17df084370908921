"""The finished trials of a search, as its study has them."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, TrialState

from gazetune.report.document import TrialRecord
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.candidates import control_of
from gazetune.search.study.own_trials import own_trials
from gazetune.trials.trial_state import record_of_finished

_FINISHED = tuple(state for state in TrialState if state.is_finished())


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that the search itself began and that have ended, by number."""
    return own_trials(study, _FINISHED)


def trial_records(study: optuna.Study, space: SearchSpace) -> tuple[TrialRecord, ...]:
    """Return what the document of a search says of each finished trial, by number."""
    return tuple(record_of_finished(trial, control_of(trial, space)) for trial in finished_trials(study))
