"""Validation margins of a run at its evaluations, by which the paired rung test compares trials.

Reading them imports no torch: the driver of a search does nothing else with them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def save_margins(run: Path, examples: int, margins: NDArray[np.float64]) -> None:
    """Write the validation margins [pairs] of the evaluation at `examples` training pairs, as float32."""
    from gazetune.reward.saved.saved_model import replace_saved_folder

    with replace_saved_folder(_margins_folder(run, examples)) as partial:
        np.save(partial / "margins.npy", margins.astype(np.float32))


def load_margins(run: Path, examples: int) -> NDArray[np.float64] | None:
    """Return the validation margins [pairs] of the run in folder `run` at `examples`, or None when there are none."""
    file = _margins_folder(run, examples) / "margins.npy"
    return np.load(file).astype(np.float64) if file.exists() else None


def _margins_folder(run: Path, examples: int) -> Path:
    return run / "margins" / str(examples)
