"""What a resumed search tells its schedulers of the trials of before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial

from gazetune.search.stopping.combined_scheduler import CombinedScheduler, KnownTrial
from gazetune.trials.feeder import tune_result
from gazetune.trials.messages import trial_id_of
from gazetune.trials.objective import Objective


def replay_rungs(
    scheduler: CombinedScheduler, trials: Sequence[FrozenTrial], objective: Objective, folder_of: Callable[[str], Path]
) -> None:
    """Tell a fresh scheduler what the trials of a resumed search reached at its rungs.

    Parameters
    ----------
    scheduler
        The scheduler; it knows no trial yet.
    trials
        The trials that were begun. An unfinished one repeats its last report itself, so that one is left out here.
    objective
        What the study's intermediate values are values of.
    folder_of
        Returns the folder of a trial id, in which its validation margins lie.
    """
    for trial in trials:
        trial_id = trial_id_of(trial.number)
        reports = sorted(trial.intermediate_values.items())
        known = reports if trial.state.is_finished() else reports[:-1]
        results = [tune_result(examples, objective.oriented(value)) for examples, value in known]
        scheduler.remember_trial(KnownTrial(trial_id, str(folder_of(trial_id))), results)
