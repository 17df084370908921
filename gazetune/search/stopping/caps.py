"""The caps of a search on hours, GPU hours and disk, summed over all drivers that worked on it.

A cap is looked at where what it counts may have grown:

    check_time        about ten times a second    max_hours
    add_evaluation    after every evaluation      max_hours, max_gpu_hours, max_disk

The first one that is reached stays the reason for which the search ends.

A search that ends with a confirmation keeps `KEPT_BACK` of each cap back for it: its trials may use the rest, and the
confirmation what is left of the whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from optuna.trial import FrozenTrial

from gazetune.config import ResourcesConfig, SearchConfig
from gazetune.errors import InputError
from gazetune.files.atomic_write import write_atomically
from gazetune.report.document import EndedRecord, TrialRecord
from gazetune.trials.disk import folder_bytes
from gazetune.trials.messages import StudyRecord, trial_id_of

HOURS_FILE = "hours.json"
"""The file of a search's folder that `WorkingTime` keeps."""
KEPT_BACK = 1 / 3
"""Share of each cap that trials leave to the confirmation. With the defaults it has some 20 full trainings; 100 trials
under `asha` do the work of some 45."""
SAVE_SECONDS = 5.0
"""The most of the time that a driver spent which is lost when it is killed."""


def check_caps(search: SearchConfig, shapes: Iterable[ResourcesConfig], origin: str) -> None:
    """Refuse a cap that could never be reached by trials of these shapes.

    Raises
    ------
    InputError
        One line that names `origin`, key and value.
    """
    if search.max_gpu_hours is not None and not any(shape.gpus for shape in shapes):
        raise InputError(
            f"{origin}: search.max_gpu_hours: {search.max_gpu_hours:g} is never reached, as "
            "resources.gpus_per_worker is 0; accepted: search.max_hours, search.max_disk"
        )


class WorkingTime:
    """Seconds of wall time that drivers spent on a search, kept in a file of its folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._before = float(json.loads(file.read_text())["seconds"]) if file.exists() else 0.0
        self._began = self._saved_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """All of it until now."""
        return self._before + time.monotonic() - self._began

    def save_regularly(self) -> None:
        """Write it down, unless that was done in the last `SAVE_SECONDS`."""
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write it down."""
        self._saved_at = time.monotonic()
        write_atomically(self._file, json.dumps({"seconds": round(self.seconds, 1)}))


class ReachedCap(NamedTuple):
    """A cap that was reached."""

    key: str
    """Such as `search.max_hours`."""
    limit: float
    """Hours, GPU hours, or bytes."""

    @property
    def reason(self) -> str:
        """Why trials are stopped then.

        Examples
        --------
        >>> ReachedCap("search.max_hours", 2.0).reason
        'search.max_hours reached'
        """
        return f"{self.key} reached"


class Caps:
    """What a search may use and what it has used."""

    def __init__(self, search: SearchConfig, folder: Path) -> None:
        self._search, self._folder = search, folder
        self._time = WorkingTime(folder / HOURS_FILE)
        self._gpu_seconds: dict[str, float] = {}
        """By trial id."""
        self.reached: ReachedCap | None = None
        """The first cap that trials have reached."""
        self._share = 1.0 if search.confirm is None else 1.0 - KEPT_BACK
        """Of each cap that may be used now."""
        self._is_confirming = False
        self.used_up: ReachedCap | None = None
        """The first cap that the confirmation has reached."""

    def add_earlier_trials(self, trials: Iterable[FrozenTrial]) -> None:
        """Count what the trials of an earlier driver used, and check all caps."""
        self._gpu_seconds = {trial_id_of(trial.number): StudyRecord.read(trial).gpu_seconds or 0.0 for trial in trials}
        self._check_all()

    def add_evaluation(self, trial_id: str, gpu_seconds: float) -> None:
        """Count an evaluation of a trial, or of a named run, that has used so many GPU seconds, and check all caps."""
        self._gpu_seconds[trial_id] = gpu_seconds
        self._check_all()

    def check_time(self) -> None:
        """Check the cap on hours. It is called about ten times a second, so it looks at no file."""
        self._time.save_regularly()
        self._check_cap("max_hours", self._time.seconds / 3600)

    def save_time(self) -> None:
        """Write down the time until now: what follows is not counted."""
        self._time.save()

    def begin_confirmation(self) -> None:
        """Let what follows use what is left of the whole caps."""
        self._is_confirming, self._share = True, 1.0
        self._check_all()

    def is_reached(self) -> bool:
        """Tell whether trials have reached a cap."""
        return self.reached is not None

    def is_used_up(self) -> bool:
        """Tell whether the confirmation has reached a cap."""
        return self.used_up is not None

    def end_record(self, trials: Sequence[TrialRecord]) -> EndedRecord | None:
        """Return how the search ended early, with these trials; None when all it was to do was done."""
        stopped = self.reached is not None and any(trial.reason == self.reached.reason for trial in trials)
        are_all_done = not stopped and len(trials) == self._search.trials
        # A confirmation that is not over goes on with a higher cap, as trials do.
        cap = self.used_up if are_all_done else self.reached or self.used_up
        return None if cap is None else EndedRecord(*cap, trials=len(trials), planned=self._search.trials)

    def _check_all(self) -> None:
        self.check_time()
        self._check_cap("max_gpu_hours", sum(self._gpu_seconds.values()) / 3600)
        if self._search.max_disk is not None:
            self._check_cap("max_disk", folder_bytes(self._folder))

    def _check_cap(self, name: str, used: float) -> None:
        cap = getattr(self._search, name)
        if cap is None or used < self._share * cap:
            return
        if self._is_confirming:
            self.used_up = self.used_up or ReachedCap(f"search.{name}", float(cap))
        else:
            self.reached = self.reached or ReachedCap(f"search.{name}", float(cap))
