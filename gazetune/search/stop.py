"""Asking the process that drives a search to stop it, or to stop one of its trials."""

from __future__ import annotations

from pathlib import Path

from gazetune.errors import InputError
from gazetune.report.wording import resume_command
from gazetune.search.folder import SearchFolder
from gazetune.search.status import read_status


def request_stop(storage: Path, name: str, trial: str | None) -> str:
    """Ask the driver of a search to stop it or one of its trials, and return what comes of that.

    Raises
    ------
    InputError
        When there is no such search, nobody drives it, or it has begun no such trial.
    """
    status = read_status(storage, name)
    if status.state == "finished":
        raise InputError(f"search '{name}' is not running: it is finished")
    resume = resume_command(name, storage)
    if status.state == "interrupted":
        raise InputError(f"search '{name}' is not running; go on with: {resume}")
    folder, _ = SearchFolder.find(storage, name)
    if trial is None:
        folder.requests.request_stop(None)
        return f"search {name} is asked to stop; go on later with: {resume}"
    running = [each.id for each in status.running]
    wanted = trial.zfill(4)
    begun = sum(status.states.values())
    if not (wanted.isdecimal() and int(wanted) < begun) and wanted not in running:
        accepted = ", ".join(running) if running else "none runs now"
        raise InputError(f"--trial {trial}: search '{name}' has begun no such trial; accepted: {accepted}")
    if wanted not in running:
        return f"trial {wanted} is over already"
    folder.requests.request_stop(wanted)
    return f"trial {wanted} is asked to stop at its next evaluation"
