"""The folds that a confirmation needs, of the configurations of the recorded table that a search may choose from.

    python -m tests.bench.search_folds FOLDER [--also N N ...] [--write]

trains the `CANDIDATES` best configurations of `regret_table.npz` (by their validation pairs and fresh pairs together),
and those that `--also` names, on each fold of the pairs outside test, as `search.confirm: full` does. It keeps which
pairs each was right on in the fold that it was not trained on: every pair outside test once. It may be killed and
started again. `--write` puts what FOLDER has into `regret_folds.npz`.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # before torch starts its threads
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", DS_ACCELERATOR="cpu")

import argparse
import json
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gazetune.config import Config, ConfirmConfig
from gazetune.evaluate.margins import Margins
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.search.confirmation.runs import list_fold_runs
from gazetune.search.space.space_file import read_space
from gazetune.train.loop import Training
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group
from tests.bench.search_table import EVALUATED, FEW, SPACE, Table, configurations

FOLDS = SPACE.with_name("regret_folds.npz")
CANDIDATES = 60


@dataclass(frozen=True)
class FoldTable:
    """What f configurations reached on the p pairs outside test, each pair in the fold that holds it out."""

    configs: NDArray[np.int64]
    """[f] places in the recorded table."""
    right: NDArray[np.bool_]
    """[f, p] whether the pair was ordered rightly; the pairs are in the order of `validation`."""
    validation: NDArray[np.int64]
    """[p] the pair's place among the validation pairs of `Table.right`; -1 for a pair that trials are trained on."""
    examples: int
    """Training examples of one configuration, all folds together."""

    @classmethod
    def read(cls, file: Path = FOLDS) -> FoldTable:
        """Read the table."""
        with np.load(file) as arrays:
            validation = arrays["validation"].astype(np.int64)
            right = np.unpackbits(arrays["right"], axis=1, count=len(validation)).astype(bool)
            return cls(arrays["configs"].astype(np.int64), right, validation, int(arrays["examples"]))

    def write(self, file: Path) -> None:
        """Write the table, one bit for each pair."""
        np.savez_compressed(
            file,
            configs=self.configs.astype(np.int16),
            right=np.packbits(self.right, axis=1),
            validation=self.validation.astype(np.int16),
            examples=self.examples,
        )


def best_configurations(table: Table, count: int = CANDIDATES) -> list[int]:
    """Return the configurations that did best on the validation pairs and the few fresh ones together."""
    pairs = table.right.shape[2]
    right = table.right.mean(axis=2).max(axis=1) * pairs + table.fresh[:, 0] * FEW
    return np.argsort(-right, kind="stable")[:count].tolist()


class FoldRecording:
    """A folder with what was trained so far: `NUMBER.npz` for each configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.space = folder, read_space(SPACE)
        self.points = configurations(self.space)
        self.data = prepare_data(self.space.config, folder / "cache")

    def file(self, number: int) -> Path:
        """Return where a configuration's numbers are."""
        return self.folder / f"{number:04d}.npz"

    def record(self, number: int, worker: Worker) -> None:
        """Train a configuration on each fold, and write which pairs it is right on."""
        runs = list_fold_runs(str(number), self.space.trial_config(self.points[number]), ConfirmConfig())
        scored = [self._train_fold(run.config, worker) for run in runs]
        items = np.concatenate([margins.items for margins, _ in scored])
        right = np.concatenate([margins.margins > 0 for margins, _ in scored])
        partial = self.folder / f".{number:04d}.npz"
        np.savez(partial, items=items, right=right, examples=sum(examples for _, examples in scored))
        partial.rename(self.file(number))

    def _train_fold(self, config: Config, worker: Worker) -> tuple[Margins, int]:
        """Return the margins of the best evaluation on the fold's validation pairs, and the examples trained on."""
        assert config.train.fold is not None
        data: PreparedData = self.data.take_fold(config.train.fold, config.data.seed)
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        training = Training(config, data, run, worker, load_worker_backbone(config, worker), EVALUATED)
        training.run(lambda made: True)
        training.close()
        rewards = np.load(run / "best" / "rewards.npy")
        return Margins.of_split(data, "validation", rewards), len(data.train) * config.train.epochs

    def table(self) -> FoldTable:
        """Return everything as a table."""
        items = np.concatenate([self.data.item_keys("train"), self.data.item_keys("validation")])
        validation = np.concatenate([np.full(len(self.data.train), -1), np.arange(len(self.data.validation))])
        numbers = sorted(int(file.stem) for file in self.folder.glob("[0-9]*.npz"))
        rows, examples = list[NDArray[np.bool_]](), set[int]()
        for number in numbers:
            with np.load(self.file(number)) as row:
                place = {item: at for at, item in enumerate(row["items"].tolist())}
                rows.append(row["right"][[place[item] for item in items.tolist()]])
                examples.add(int(row["examples"]))
        (each,) = examples
        return FoldTable(np.array(numbers), np.stack(rows), validation, each)


def record_all(recording: FoldRecording, wanted: Sequence[int]) -> None:
    """Train what is missing."""
    worker = join_worker_group()
    torch.set_num_threads(1)
    for number in wanted:
        if not recording.file(number).exists():
            began = time.monotonic()
            recording.record(number, worker)
            taken = round(time.monotonic() - began, 1)
            print(json.dumps({"config": number, **recording.points[number], "seconds": taken}), flush=True)
    leave_worker_group()


def main() -> None:
    """Record what is missing, and write the table when asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.search_folds", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the numbers of each configuration are kept")
    parser.add_argument("--write", action="store_true", help=f"write {FOLDS.name} from what the folder has")
    parser.add_argument("--also", type=int, nargs="*", default=[], help="more configurations to train")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    recording = FoldRecording(arguments.folder)
    record_all(recording, [*best_configurations(Table.read()), *arguments.also])
    if arguments.write:
        recording.table().write(FOLDS)
        print(f"{FOLDS}: {FOLDS.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
