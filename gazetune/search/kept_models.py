"""Which saved models of a search stay. What else a trial leaves (its config, its margins) is small, and stays too."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import optuna
from optuna.trial import TrialState

from gazetune.report.document import TrialRecord
from gazetune.search.baselines import best_of_controls, best_trial_without_gaze
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
        self._pairs: dict[str, Hashable] = {}
        """What the pairs follow from of each trial with which a winner may be compared, by trial id."""

    def drop_others(self) -> None:
        """Drop the models of COMPLETE trials that are not among those to keep; the others have none."""
        trials = [trial for trial in trial_records(self._study, self._space) if trial.state == TrialState.COMPLETE.name]
        search = self._space.config.search
        if len(trials) <= search.keep_models:
            return
        for trial in trials:
            if _is_compared(trial) and trial.id not in self._pairs:
                config = self._space.trial_config(trial.params)
                self._pairs[trial.id] = (config.data, config.backbone)  # another tokenizer may drop other pairs
        front = [record.id for record in find_pareto_front(self._study, self._space)]
        kept = models_to_keep(trials, search.keep_models, self._pairs, front)
        for trial_id in {trial.id for trial in trials} - kept - self._dropped:
            drop_model(self._folder.trial_folder(trial_id))
            self._dropped.add(trial_id)


def models_to_keep(
    trials: Sequence[TrialRecord], best: int, pairs: Mapping[str, Hashable], front: Sequence[str]
) -> set[str]:
    """Return the ids of the COMPLETE trials whose models stay.

    These are the `best` ones on validation with the winner among them, the trials of the Pareto front, and for each
    data set and backbone the trials with which a winner on the same pairs is compared: the best one with fusion `none`,
    and the best one of each control. `pairs` says what the pairs of each such trial follow from, by its id.
    """
    # The earliest first on ties, as the winner is chosen; `sorted` keeps the order.
    candidates = [trial for trial in trials if not trial.is_control]
    ranked = sorted(candidates, key=lambda trial: -(trial.val_accuracy or 0.0))
    kept = {trial.id for trial in ranked[:best]} | set(front)
    compared_with = [trial for trial in trials if _is_compared(trial)]
    for one in {pairs[trial.id] for trial in compared_with}:
        there = [trial for trial in compared_with if pairs[trial.id] == one]
        without_gaze = best_trial_without_gaze(there)
        compared = [*best_of_controls(there).values(), *([] if without_gaze is None else [without_gaze])]
        kept |= {trial.id for trial in compared}
    return kept


def _is_compared(trial: TrialRecord) -> bool:
    """Tell whether a winner may be compared with a trial: one without gaze, or a control."""
    return trial.is_control or trial.params["fusion.kind"] == "none"
