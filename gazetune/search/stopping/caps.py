"""The caps of a search, summed over all drivers that worked on it: hours, GPU hours and disk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial

from gazetune.config import ResourcesConfig, SearchConfig
from gazetune.errors import InputError
from gazetune.report.document import EndedRecord, TrialRecord
from gazetune.search.study.seeding import gpu_seconds, trial_name
from gazetune.trials.disk import folder_bytes

HOURS = "hours.json"
"""The file of a search's folder that `WorkingTime` keeps."""
NOTED_SECONDS = 5.0
"""So much of the time that a driver spent may be lost when it is killed."""


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
        self._began = self._noted = time.monotonic()

    @property
    def seconds(self) -> float:
        """All of it until now."""
        return self._before + time.monotonic() - self._began

    def note(self) -> None:
        """Write it down, unless that was done a moment ago."""
        if time.monotonic() - self._noted >= NOTED_SECONDS:
            self.write()

    def write(self) -> None:
        """Write it down now."""
        self._noted = time.monotonic()
        partial = self._file.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"seconds": round(self.seconds, 1)}), encoding="utf-8")
        partial.rename(self._file)


class Budget:
    """What a search may use and has used. It hears of every evaluation, and is asked often whether time is up."""

    def __init__(self, search: SearchConfig, folder: Path) -> None:
        self._search, self._folder = search, folder
        self._time = WorkingTime(folder / HOURS)
        self._gpu_seconds: dict[str, float] = {}
        self.reached: tuple[str, float] | None = None
        """The first cap that was reached, by its key, with its value."""

    def begin(self, trials: Iterable[FrozenTrial]) -> None:
        """Take in what the trials of an earlier driver used."""
        self._gpu_seconds = {trial_name(trial.number): gpu_seconds(trial) for trial in trials}
        self._look()

    def evaluated(self, trial_id: str, gpu_seconds: float) -> None:
        """Take in an evaluation of a trial that has used so many GPU seconds, and look at all caps."""
        self._gpu_seconds[trial_id] = gpu_seconds
        self._look()

    def tick(self) -> None:
        """Let time pass. Cheap: it is called about ten times a second."""
        self._time.note()
        self._compare("max_hours", self._time.seconds / 3600)

    def end(self) -> None:
        """Write down the time until now: what follows is not counted."""
        self._time.write()

    def spent(self) -> bool:
        """Tell whether a cap was reached."""
        return self.reached is not None

    def ended(self, trials: Sequence[TrialRecord]) -> EndedRecord | None:
        """Return how the search ended early, with these trials; None when all had what they were to have."""
        if self.reached is None:
            return None
        stopped = any(trial.reason == reason_of(self.reached) for trial in trials)
        if not stopped and len(trials) == self._search.trials:
            return None
        return EndedRecord(*self.reached, trials=len(trials), planned=self._search.trials)

    def _look(self) -> None:
        self.tick()
        self._compare("max_gpu_hours", sum(self._gpu_seconds.values()) / 3600)
        if self._search.max_disk is not None:
            self._compare("max_disk", folder_bytes(self._folder))

    def _compare(self, name: str, used: float) -> None:
        cap = getattr(self._search, name)
        if cap is not None and used >= cap and self.reached is None:
            self.reached = (f"search.{name}", float(cap))


def reason_of(reached: tuple[str, float]) -> str:
    """Return why trials were stopped once a cap was reached."""
    return f"{reached[0]} reached"
