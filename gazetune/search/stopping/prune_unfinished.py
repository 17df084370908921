"""The end of a search that a cap ended: trials that an earlier driver left are not gone on with."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from gazetune.search.ledger import Ledger
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.seeding import own_trials, trial_name


def stop_begun(study: optuna.Study, space: SearchSpace, ledger: Ledger, reason: str) -> None:
    """Tell the study that the trials which are still RUNNING there are PRUNED, with what they had reached."""
    for left in own_trials(study, (TrialState.RUNNING,)):
        trial, number = optuna.Trial(study, left._trial_id), trial_name(left.number)
        if "record" not in left.user_attrs:  # the driver was killed between its proposal and its start
            ledger.started(trial, number, space.suggest(trial))
        ledger.ending(trial, reason)
        ledger.ended(study.tell(trial, state=TrialState.PRUNED), number)
