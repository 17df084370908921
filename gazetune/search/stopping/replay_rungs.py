"""What a resumed search tells its schedulers of the trials of before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial

from gazetune.search.stopping.schedulers import KnownTrial, Stopping
from gazetune.search.study.objectives import sign
from gazetune.search.study.seeding import trial_name


def replay(
    scheduler: Stopping, trials: Sequence[FrozenTrial], objective: str, folder_of: Callable[[str], Path]
) -> None:
    """Tell a fresh scheduler what the trials of a resumed search reached at its rungs.

    An unfinished trial repeats its last report itself, so that one is left out here. Their validation margins lie in
    the trials' folders, which `folder_of` names by trial id.
    """
    for trial in trials:
        known = KnownTrial(trial_name(trial.number), str(folder_of(trial_name(trial.number))))
        reports = sorted(trial.intermediate_values.items())
        told = reports if trial.state.is_finished() else reports[:-1]
        scheduler.remember(known, [{"examples": at, "objective": sign(objective) * value} for at, value in told])
