"""What a run keeps to go on from and to be compared by: the last training state, and each evaluation's margins.

A small state is gathered on rank 0, parameter by parameter, and is one file. Of a large one each worker writes the
slices that it holds, all at the same time (`gazetune.train.state.sharded_tensors`); no worker gathers it:

    last/state.safetensors                   or     last/shard-0000.safetensors, shard-0001.safetensors, ...
    last/progress.json                              last/progress.json

The new checkpoint is complete in a hidden folder before it takes the place of the old one.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gazetune.errors import InputError
from gazetune.files.replaced_folder import recover_folder, swap_folders
from gazetune.reward.saved.saved_model import replace_saved_folder, translate_save_errors
from gazetune.reward.saved.tensor_stream import TensorStream
from gazetune.train.progress import Progress
from gazetune.train.state.sharded_tensors import ShardedTensors, TensorSlice, holds_shards, save_slices

STATE_FILE, PROGRESS_FILE = "state.safetensors", "progress.json"

GATHERED_BYTES = 2**28
"""The largest training state, in bytes, that rank 0 of several workers gathers (of an adapter, say)."""


@dataclass(frozen=True)
class Checkpoint:
    """The training state of a run after one of its evaluations."""

    state: Mapping[str, Tensor]
    """By name: what trains, the gaze statistics and Adam's moments (`gazetune.train.state.training_state`)."""
    progress: Progress

    @classmethod
    def load(cls, folder: Path) -> Checkpoint | None:
        """Return the checkpoint in `folder`, or None when there is none.

        Raises
        ------
        InputError
            When a file of it is missing or damaged.
        """
        if not recover_folder(folder):
            return None
        try:
            progress = Progress.from_json((folder / PROGRESS_FILE).read_text())
            state = ShardedTensors(folder) if holds_shards(folder) else load_file(folder / STATE_FILE)
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{folder}: damaged ({reason}); remove the folder to train from the start") from None
        return cls(state, progress)


def save_checkpoint(folder: Path, state: TensorStream, progress: Progress) -> None:
    """Write a checkpoint in one file; a process killed at any moment leaves the old one or the new one whole.

    Raises
    ------
    SaveFailed
        As `replace_saved_folder`.
    """
    with replace_saved_folder(folder) as partial:
        state.save(partial / STATE_FILE)
        (partial / PROGRESS_FILE).write_text(progress.to_json())


class ShardedCheckpoint:
    """A checkpoint that all workers write together, each step of it when the one before has succeeded everywhere.

    begin         rank 0: an empty hidden folder
    save_shard    every worker: its file there
    finish        rank 0: the progress; the folder takes the place of the old one

    A worker killed at any moment leaves the old checkpoint or the new one whole. Each step raises `SaveFailed`.
    """

    def __init__(self, folder: Path, step: int) -> None:
        # Each checkpoint has a name of its own while it is written. On a network file system another node may take a
        # name that it knows for the folder that had it before, which is the old checkpoint now.
        self._folder, self._partial = folder, folder.with_name(f".{folder.name}.partial-{step}")

    def begin(self) -> None:
        """Make the folder, without what a killed run left there."""
        with self._failures():
            for left in {self._partial, *self._folder.parent.glob(f".{self._folder.name}.partial*")}:
                shutil.rmtree(left, ignore_errors=True)
            self._partial.mkdir(parents=True)

    def save_shard(
        self, slices: Mapping[str, TensorSlice], values: Iterator[tuple[str, Tensor]], rank: int, world_size: int
    ) -> None:
        """Write the slices that this worker holds, as `save_slices`."""
        with self._failures():
            save_slices(self._partial, slices, values, rank, world_size)

    def finish(self, progress: Progress) -> None:
        """Put the new checkpoint in the place of the old one."""
        with self._failures():
            (self._partial / PROGRESS_FILE).write_text(progress.to_json())
            swap_folders(self._partial, self._folder)

    def discard(self) -> None:
        """Remove what was written, after a step has failed."""
        shutil.rmtree(self._partial, ignore_errors=True)

    def _failures(self) -> contextlib.AbstractContextManager[None]:
        return translate_save_errors(self._folder)
