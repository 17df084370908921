"""Asking the process that drives an ablation to stop it."""

from __future__ import annotations

from pathlib import Path

from gazetune.ablation.folder import AblationFolder
from gazetune.errors import InputError
from gazetune.report.wording import resume_ablation_command


def request_ablation_stop(storage: Path, name: str) -> str:
    """Ask the driver of an ablation to stop it, and return what comes of that.

    Raises
    ------
    InputError
        When nobody drives it.
    """
    folder = AblationFolder(storage / name)
    resume = resume_ablation_command(name, storage)
    if not folder.is_driven():
        finished = folder.read_document() is not None
        raise InputError(
            f"ablation '{name}' is not running{': it is finished' if finished else f'; go on with: {resume}'}"
        )
    folder.requests.request_stop(None)
    return f"ablation {name} is asked to stop; go on later with: {resume}"
