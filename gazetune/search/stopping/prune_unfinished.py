"""The end of a search that a cap ended: the trials that an earlier driver left unfinished become PRUNED."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.own_trials import own_trials
from gazetune.trials.ledger import Ledger
from gazetune.trials.messages import StudyRecord


def prune_unfinished_trials(study: optuna.Study, space: SearchSpace, ledger: Ledger, reason: str) -> None:
    """Tell the study that the trials which are still RUNNING there are PRUNED, with what they had reached."""
    for unfinished in own_trials(study, (TrialState.RUNNING,)):
        trial = optuna.Trial(study, unfinished._trial_id)
        if not StudyRecord.read(unfinished).mlflow_run:  # the driver was killed between its proposal and its start
            params = propose_values(trial, space)
            ledger.start_trial(trial, space.trial_config(params), params)
        ledger.record_reason(trial, reason)
        ledger.end_trial(study.tell(trial, state=TrialState.PRUNED))
