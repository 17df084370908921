"""What a run keeps to go on from and to be compared by: the last training state, and each evaluation's margins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from gazetune.files.replaced_folder import recover_folder
from gazetune.reward.saved.saving import replacing


@dataclass
class Progress:
    """How far a run has come; all of it is counted over the run's whole life, not since its last start."""

    data: str
    """Fingerprint of the preference pairs that the run trains on."""
    step: int = 0
    """Optimiser steps done."""
    seconds: float = 0.0
    best_accuracy: float = -1.0
    best_step: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    """The reports made so far, as plain dictionaries."""
    plateau: dict[str, Any] = field(default_factory=dict)
    """The counter of `train.early_stop`; empty without one."""


def save_checkpoint(folder: Path, state: Mapping[str, Tensor], progress: Progress) -> None:
    """Write a checkpoint; a kill at any moment leaves the old one or the new one whole."""
    with replacing(folder) as partial:
        save_file(dict(state), partial / "state.safetensors")
        (partial / "progress.json").write_text(json.dumps(asdict(progress)))


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], Progress] | None:
    """Return the state and the progress of the checkpoint in `folder`, or None when there is none."""
    if not recover_folder(folder):
        return None
    return load_file(folder / "state.safetensors"), Progress(**json.loads((folder / "progress.json").read_text()))


def save_margins(run: Path, examples: int, margins: NDArray[np.float64]) -> None:
    """Write the validation margins [pairs] of the evaluation at `examples` training pairs, as float32."""
    with replacing(_margins(run, examples)) as partial:
        np.save(partial / "margins.npy", margins.astype(np.float32))


def load_margins(run: Path, examples: int) -> NDArray[np.float64] | None:
    """Return the validation margins [pairs] of the run in folder `run` at `examples`, or None when there are none."""
    file = _margins(run, examples) / "margins.npy"
    return np.load(file).astype(np.float64) if file.exists() else None


def _margins(run: Path, examples: int) -> Path:
    return run / "margins" / str(examples)
