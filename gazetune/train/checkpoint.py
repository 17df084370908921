"""What a run keeps to go on from and to be compared by: the last training state, and each evaluation's margins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from gazetune.files.replaced_folder import recover_folder
from gazetune.reward.saved.saved_model import replace_saved_folder
from gazetune.train.progress import Progress

STATE_FILE, PROGRESS_FILE = "state.safetensors", "progress.json"


@dataclass(frozen=True)
class Checkpoint:
    """The training state of a run after one of its evaluations."""

    state: Mapping[str, Tensor]
    """By name: what trains, the gaze statistics and Adam's moments (`gazetune.train.training_state`)."""
    progress: Progress

    def save(self, folder: Path) -> None:
        """Write the checkpoint; a process killed at any moment leaves the old one or the new one whole."""
        with replace_saved_folder(folder) as partial:
            save_file(dict(self.state), partial / STATE_FILE)
            (partial / PROGRESS_FILE).write_text(self.progress.to_json())

    @classmethod
    def load(cls, folder: Path) -> Checkpoint | None:
        """Return the checkpoint in `folder`, or None when there is none."""
        if not recover_folder(folder):
            return None
        return cls(load_file(folder / STATE_FILE), Progress.from_json((folder / PROGRESS_FILE).read_text()))


def save_margins(run: Path, examples: int, margins: NDArray[np.float64]) -> None:
    """Write the validation margins [pairs] of the evaluation at `examples` training pairs, as float32."""
    with replace_saved_folder(_margins_folder(run, examples)) as partial:
        np.save(partial / "margins.npy", margins.astype(np.float32))


def load_margins(run: Path, examples: int) -> NDArray[np.float64] | None:
    """Return the validation margins [pairs] of the run in folder `run` at `examples`, or None when there are none."""
    file = _margins_folder(run, examples) / "margins.npy"
    return np.load(file).astype(np.float64) if file.exists() else None


def _margins_folder(run: Path, examples: int) -> Path:
    return run / "margins" / str(examples)
