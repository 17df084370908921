"""The folder of one run of many trainings: where everything of it lies, and which driver works in it.

STORAGE/
cache/                    prepared data and reading measures, shared by all runs
NAME/                     one run; its folder gets this name with its first files in it
.driver.lock            locked by the driver at work
driver/                 who drives the run, and what other terminals ask of it
facts.json              what the values of its trials depend on
mlflow_run              id of the MLflow run above those of the trials
trials/0000/            config.yaml, best/ (saved model), last/ (checkpoint), margins/
report.md, KIND.json    written last: a run with the latter is finished
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self, cast

from filelock import FileLock, Timeout

from gazetune.errors import InputError
from gazetune.files.atomic_write import write_atomically
from gazetune.files.new_folder import create_folder
from gazetune.trials.driver_requests import DriverRequests

JsonObject = dict[str, object]


@dataclass(frozen=True)
class RunFacts:
    """What the values of a run's trials depend on, apart from their configs."""

    data: str
    """Fingerprint of the preference pairs and their splits."""
    budget: int
    """Training examples of a full trial."""


class RunFolder:
    """`STORAGE/NAME`, locked by one driver at a time. What the run asks for is added by a subclass."""

    kind: ClassVar[str]
    """What the user calls such a run, such as `search`; its document is `KIND.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.report = path / "report.md"
        self.document = path / f"{self.kind}.json"
        self.cache = path.parent / "cache"
        self.slots = path / "slots"
        self.requests = DriverRequests(path / "driver")
        self._parent_run = path / "mlflow_run"
        self._facts = path / "facts.json"
        self._lock = FileLock(path / ".driver.lock")

    @classmethod
    def create_filled(cls, storage: Path, name: str, fill: Callable[[Self], None]) -> Self:
        """Make the folder of a new run and lock it.

        `fill` writes its first files under a hidden name; then the folder is renamed into place. A driver that is
        killed on the way therefore leaves either a run that can be resumed, or no run of this name.

        Raises
        ------
        FileExistsError
            When there is something of this name already.
        """
        folder = cls(storage / name)
        try:
            with create_folder(folder.path) as hidden:
                if os.path.lexists(folder.path):  # an empty folder would be replaced
                    raise FileExistsError(folder.path)
                fill(cls(hidden))
        except OSError:
            if not os.path.lexists(folder.path):
                raise
            raise FileExistsError(folder.path) from None
        folder.lock()
        return folder

    def lock(self) -> None:
        """Keep other drivers out until this process ends, and forget what the driver before was asked.

        Raises
        ------
        InputError
            When another driver is in.
        """
        try:
            self._lock.acquire(timeout=0.5)  # `is_driven` may hold it for a moment
        except Timeout:
            raise InputError(f"{self.kind} '{self.path.name}' in {self.path.parent} is running already") from None
        self.requests.clear()

    def unlock(self) -> None:
        """Let other drivers in."""
        self._lock.release()

    def remove(self) -> None:
        """Take the folder away with all that is in it, and let go of its lock."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.unlock()

    def is_driven(self) -> bool:
        """Tell whether a driver is at work, without writing anything."""
        try:
            with Path(self._lock.lock_file).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def trial_folder(self, trial_id: str) -> Path:
        """Return the folder of a trial."""
        return self.path / "trials" / trial_id

    def read_parent_run(self) -> str | None:
        """Return the id of the MLflow run above those of the trials, if it was made already."""
        return self._parent_run.read_text().strip() if self._parent_run.exists() else None

    def write_parent_run(self, run: str) -> None:
        """Remember the id of the MLflow run above those of the trials."""
        write_atomically(self._parent_run, run)

    def read_document(self) -> JsonObject | None:
        """Return the document of a finished run as it was written; None of one that is not finished."""
        try:
            return cast(JsonObject, json.loads(self.document.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write_document(self, text: str) -> None:
        """Write the document, a JSON object. From then on the run counts as finished."""
        write_atomically(self.document, text, durable=True)

    def read_facts(self) -> RunFacts | None:
        """Return what the run's values depend on; None where an earlier version did not write it."""
        return RunFacts(**json.loads(self._facts.read_text())) if self._facts.exists() else None

    def write_facts(self, facts: RunFacts) -> None:
        """Remember what the run's values depend on."""
        write_atomically(self._facts, json.dumps(asdict(facts)))
