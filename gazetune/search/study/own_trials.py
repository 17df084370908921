"""Which trials of a study are the search's own.

A study has trials of two kinds: those that the search itself began, and those that `--warm-start` took over from
another search, so that the sampler knows them. The latter have a mark. They are not counted, not reported, and cannot
win.
"""

from __future__ import annotations

from collections.abc import Container

import optuna
from optuna.trial import FrozenTrial, TrialState

TAKEN_FROM = "gazetune:from"
"""The mark, a user attribute: `NAME:NUMBER` of the search and the trial there."""


def is_taken_over(trial: FrozenTrial) -> bool:
    """Tell whether a trial of a study was taken over from another search."""
    return TAKEN_FROM in trial.user_attrs


def own_trials(study: optuna.Study, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
    """Return the trials that the search itself began, by number; those in some states only where these are given."""
    return [trial for trial in study.get_trials(deepcopy=False, states=states) if not is_taken_over(trial)]
