"""Who drives a search, and what other terminals ask of that driver, as small files in the search's folder.

A driver clears them when it takes the search over, so that no request for a dead driver reaches it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from gazetune.files.atomic_write import write_atomically

_STOP = "stop"

Phase = Literal["preparing", "running", "confirming", "comparing"]
"""What a driver does: data and gaze before the first trial; trials; after the last one the confirmation, or else
baselines and the test split."""


@dataclass(frozen=True, slots=True)
class DriverNote:
    """What a driver says about itself."""

    pid: int
    host: str
    since: str
    """UTC, ISO 8601."""
    slots: int
    """Trials that run at a time."""
    phase: Phase = "running"


class DriverRequests:
    """The folder `STORAGE/NAME/driver`: the driver's note about itself, and a file for each request.

    Requests name a trial by its id; None stands for the search as a whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path / "driver.json"

    def clear(self) -> None:
        """Forget the driver of before and what it was asked."""
        shutil.rmtree(self._path, ignore_errors=True)

    def announce_driver(self, slots: int) -> None:
        """Note that this process drives the search, with so many slots; called again when that number changes."""
        self._write_note(replace(self._own_note(), slots=slots))

    def announce_phase(self, phase: Phase) -> None:
        """Note what this process, which drives the search, does now."""
        self._write_note(replace(self._own_note(), phase=phase))

    def _own_note(self) -> DriverNote:
        """Return the note of this process as it stands, or a first one."""
        own = DriverNote(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"), slots=0)
        before = self.read_note()
        return before if before is not None and (before.pid, before.host) == (own.pid, own.host) else own

    def _write_note(self, note: DriverNote) -> None:
        self._path.mkdir(exist_ok=True)
        write_atomically(self._note, json.dumps(asdict(note)))

    def read_note(self) -> DriverNote | None:
        """Return the last driver's note; None where none was there. That driver may be dead by now."""
        try:
            return DriverNote(**json.loads(self._note.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def request_stop(self, trial_id: str | None) -> None:
        """Ask the driver to stop a trial at its next report, or the search. May be repeated."""
        self._path.mkdir(exist_ok=True)
        self._request_file(trial_id).touch()

    def is_stop_requested(self, trial_id: str | None) -> bool:
        """Tell whether somebody asked for that."""
        return self._request_file(trial_id).exists()

    def _request_file(self, trial_id: str | None) -> Path:
        return self._path / (_STOP if trial_id is None else f"{_STOP}-{trial_id}")
