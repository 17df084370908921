"""What a search leaves on the disk: how much that is, and taking a saved model away."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from gazetune.reward.saved.saved_files import OLD_MARGINS, REWARDS, WEIGHTS

_KEPT = (REWARDS, OLD_MARGINS)
"""What stays of a dropped model: what it gave to each validation pair, to compare runs by."""


def folder_bytes(folder: Path) -> int:
    """Return the sum of the sizes of all files below a folder, while others may write there."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(place, file)).st_size
    return total


def drop_model(trial: Path) -> None:
    """Remove the saved model of a trial's folder, and what a killed save left; its validation rewards stay."""
    best = trial / "best"
    with contextlib.suppress(FileNotFoundError):
        (best / WEIGHTS).unlink()  # first, since a folder without weights counts as no model
    for each in best.iterdir() if best.is_dir() else ():
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        elif each.name not in _KEPT:
            each.unlink(missing_ok=True)
    for left in trial.glob(".best.*"):
        shutil.rmtree(left, ignore_errors=True)
