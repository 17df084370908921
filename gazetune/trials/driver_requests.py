"""Who drives a search and what other terminals ask of it, as small files in the search's folder.

A driver clears them when it takes the search over, so that nothing meant for a dead one reaches it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gazetune.files.atomic_write import write_atomically

_ALL = "stop"


@dataclass(frozen=True, slots=True)
class DriverNote:
    """What a driver says about itself."""

    pid: int
    host: str
    since: str
    """UTC, ISO 8601."""
    slots: int
    """Trials that run at a time."""


class Steering:
    """The folder `STORAGE/NAME/driver`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path / "driver.json"

    def clear(self) -> None:
        """Forget the driver of before and what it was asked."""
        shutil.rmtree(self._path, ignore_errors=True)

    def announce(self, slots: int) -> None:
        """Say that this process drives the search, with so many slots; it may say so again with another number."""
        note = DriverNote(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"), slots)
        before = self.driver()
        if before is not None and (before.pid, before.host) == (note.pid, note.host):
            note = replace(note, since=before.since)
        self._path.mkdir(exist_ok=True)
        write_atomically(self._note, json.dumps(asdict(note)))

    def driver(self) -> DriverNote | None:
        """Return what the last driver said; None before it has begun with its trials. It may be dead by now."""
        try:
            return DriverNote(**json.loads(self._note.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def ask_to_stop(self, trial_id: str | None) -> None:
        """Ask the driver to stop a trial at its next report, or with None the search. May be repeated."""
        self._path.mkdir(exist_ok=True)
        self._request(trial_id).touch()

    def asked_to_stop(self, trial_id: str | None) -> bool:
        """Tell whether somebody asked for that."""
        return self._request(trial_id).exists()

    def _request(self, trial_id: str | None) -> Path:
        return self._path / (_ALL if trial_id is None else f"{_ALL}-{trial_id}")
