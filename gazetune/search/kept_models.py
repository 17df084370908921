"""Which saved models of a search stay. What else a trial leaves (its config, its margins) is small, and stays too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import TrialState

from gazetune.config import DataConfig
from gazetune.report.document import TrialRecord
from gazetune.search.baselines import best_trial_without_gaze
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.finished_trials import trial_records
from gazetune.search.study.pareto_front import find_pareto_front
from gazetune.trials.disk import drop_model


class KeptModels:
    """Drops the models of a search that nothing will ask for any more.

    Which these are follows from the study alone. A model that is not needed now is never needed later, as trials are
    only added and a trial that others are better than stays so. A resumed search therefore keeps what an undisturbed
    one would keep, and nothing has to be remembered.
    """

    def __init__(self, study: optuna.Study, space: SearchSpace, folder: SearchFolder) -> None:
        self._study, self._space, self._folder = study, space, folder
        self._dropped: set[str] = set()
        self._data: dict[str, DataConfig] = {}
        """The data of each trial with fusion `none`, by trial id."""

    def drop_others(self) -> None:
        """Drop the models of COMPLETE trials that are not among those to keep; the others have none."""
        trials = [trial for trial in trial_records(self._study) if trial.state == TrialState.COMPLETE.name]
        search = self._space.config.search
        if len(trials) <= search.keep_models:
            return
        for trial in trials:
            if _without_gaze(trial) and trial.id not in self._data:
                self._data[trial.id] = self._space.trial_config(trial.params).data
        front = [record.id for record in find_pareto_front(self._study, search)]
        kept = models_to_keep(trials, search.keep_models, self._data, front)
        for trial_id in {trial.id for trial in trials} - kept - self._dropped:
            drop_model(self._folder.trial_folder(trial_id))
            self._dropped.add(trial_id)


def models_to_keep(
    trials: Sequence[TrialRecord], best: int, data: Mapping[str, DataConfig], front: Sequence[str]
) -> set[str]:
    """Return the ids of the COMPLETE trials whose models stay.

    These are the `best` ones on validation with the winner among them, the trials of the Pareto front, and for each
    data set the best trial with fusion `none`, with which a winner on that data set is compared. `data` names
    that of each trial with fusion `none`, by id.
    """
    # The earliest first on ties, as the winner is chosen; `sorted` keeps the order.
    ranked = sorted(trials, key=lambda trial: -(trial.val_accuracy or 0.0))
    kept = {trial.id for trial in ranked[:best]} | set(front)
    without = [trial for trial in trials if _without_gaze(trial)]
    for one in {data[trial.id] for trial in without}:
        compared = best_trial_without_gaze([trial for trial in without if data[trial.id] == one])
        if compared is not None:
            kept.add(compared.id)
    return kept


def _without_gaze(trial: TrialRecord) -> bool:
    return bool(trial.params["fusion.kind"] == "none")
