"""The recorded table that `tests.bench.search` replays: every configuration of a small space, trained once.

    python -m tests.bench.search_table FOLDER [--write]

trains the configurations of `regret_table.yaml` that FOLDER does not have yet, one after another, in this process with
one thread and without Ray, with the loop of `gazetune train`. At each rung it records which validation pairs were
ordered rightly, and at the end the accuracy of the saved model on fresh planted pairs of another seed: 1,000 for all
configurations, then 20,000 for the 48 that did best on those and on the validation pairs together, and for those that
`--also` names. It may be killed and started again. `--write` puts what FOLDER has into `regret_table.npz`.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # before torch starts its threads
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", DS_ACCELERATOR="cpu")

import argparse
import dataclasses
import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.trial import FixedTrial

from gazetune.config import Config
from gazetune.config.keys import get_key
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.preferences.planted import make_planted_data
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.gaze_chat_encoder import GazeChatEncoder
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.samplers.grid import grid_points
from gazetune.train.loop import Training
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group
from gazetune.train.progress import EvaluationReport
from gazetune.train.scoring.evaluation import score_saved_model

SPACE = Path(__file__).with_name("regret_table.yaml")
TABLE = SPACE.with_suffix(".npz")
FRESH_SEED = 1
FEW, MANY = 1_000, 20_000
"""Fresh pairs that every configuration is measured on, and those that the best ones are measured on."""
BEST = 48
"""Configurations that are measured on all fresh pairs."""
RUNGS = (72, 216)
"""Training examples at which the table has an evaluation, beside the end."""
EVALUATED = (*RUNGS, 648)
"""Where trials were evaluated. The third place is two pairs before the end, too late to stop a trial."""


@dataclass(frozen=True)
class Table:
    """c configurations in the order of `configurations`, r evaluations each, v validation pairs."""

    examples: NDArray[np.int64]
    """[r] training examples at each evaluation, the full budget last."""
    right: NDArray[np.bool_]
    """[c, r, v] whether the pair was ordered rightly."""
    fresh: NDArray[np.float64]
    """[c, 2] accuracy on the first `FEW` fresh pairs and on all `MANY`; NaN where that was not measured."""

    @classmethod
    def read(cls, file: Path = TABLE) -> Table:
        """Read the table."""
        with np.load(file) as arrays:
            right = np.unpackbits(arrays["right"], axis=2, count=int(arrays["pairs"])).astype(bool)
            return cls(arrays["examples"], right, arrays["fresh"].astype(np.float64))

    def write(self, file: Path) -> None:
        """Write the table, one bit for each pair."""
        np.savez_compressed(
            file,
            examples=self.examples,
            pairs=self.right.shape[2],
            right=np.packbits(self.right, axis=2),
            fresh=self.fresh,
        )


def configurations(space: SearchSpace) -> list[dict[str, Any]]:
    """Return each point of the space, dotted key -> value, in the table's order."""
    return [space.suggest_values(FixedTrial(point)) for point in grid_points(space)]


def numbers(space: SearchSpace) -> Callable[[Mapping[str, Any]], int]:
    """Return what finds the place in the table of a trial's config tree."""
    keys = {axis.key for axis in space.axes}
    places = {json.dumps(params, sort_keys=True): at for at, params in enumerate(configurations(space))}

    def number(tree: Mapping[str, Any]) -> int:
        values = {key: get_key(tree, key) for key in keys}
        if values["fusion.kind"] == "none":
            del values["gaze.features"]
        return places[json.dumps(values, sort_keys=True)]

    return number


def fresh_pairs(config: Config, data: PreparedData, count: int) -> EncodedSplit:
    """Return planted pairs of another seed, with that seed's gaze and the tokens of `data`."""
    other = config.model_copy(update={"data": config.data.model_copy(update={"seed": FRESH_SEED})})
    pairs = make_planted_data(count, FRESH_SEED).pairs
    encoder = GazeChatEncoder(other, data.load_tokenizer(), create_predictor(other))
    split = encoder.encode_chats([pair.chat_with(reply) for pair in pairs for reply in (pair.chosen, pair.rejected)])
    return dataclasses.replace(split, scores=np.full(count, np.nan, dtype=np.float32))


class Recording:
    """A folder with what was trained so far: `NUMBER.npz` of each configuration and the model it ended with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.space = folder, read_space(SPACE)
        self.points = configurations(self.space)
        self.data = prepare_data(self.space.config, folder / "cache")

    def file(self, number: int) -> Path:
        """Return where a configuration's numbers are."""
        return self.folder / f"{number:04d}.npz"

    def read(self, number: int) -> dict[str, NDArray[Any]]:
        """Return a configuration's `examples`, `right` and `fresh` (as in `Table`, without the first dimension)."""
        with np.load(self.file(number)) as arrays:
            return dict(arrays)

    def record(self, number: int, worker: Worker, fresh: EncodedSplit) -> None:
        """Train a configuration and write its numbers."""
        config, run = self.space.trial_config(self.points[number]), self._run(number)
        shutil.rmtree(run, ignore_errors=True)
        backbone = load_worker_backbone(config, worker)
        training = Training(config, self.data, run, worker, backbone, EVALUATED)
        reached: list[int] = []

        def report(made: EvaluationReport) -> bool:
            reached.append(made.examples)
            return True

        training.run(report)
        training.close()
        right = [np.load(run / "margins" / str(examples) / "margins.npy") > 0 for examples in reached]
        accuracy = [self._fresh_accuracy(number, worker, fresh), np.nan]
        self._write(number, {"examples": np.array(reached), "right": np.array(right), "fresh": np.array(accuracy)})
        shutil.rmtree(run / "last")

    def measure(self, number: int, worker: Worker, fresh: EncodedSplit) -> None:
        """Measure a recorded configuration on all fresh pairs."""
        numbers = self.read(number)
        numbers["fresh"][1] = self._fresh_accuracy(number, worker, fresh)
        self._write(number, numbers)

    def best(self) -> list[int]:
        """Return the configurations that did best on the few fresh pairs and the validation pairs, the best first."""
        scores = []
        for number in range(len(self.points)):
            row = self.read(number)
            right = row["right"].mean(axis=1).max() * row["right"].shape[1] + row["fresh"][0] * FEW
            scores.append(right / (row["right"].shape[1] + FEW))
        return np.argsort(-np.array(scores), kind="stable")[:BEST].tolist()

    def table(self) -> Table:
        """Return everything as a table."""
        rows = [self.read(number) for number in range(len(self.points))]
        right = np.stack([self.right(number) for number in range(len(rows))])
        end = rows[0]["examples"][-1]
        return Table(np.array([*RUNGS, end]), right, np.stack([row["fresh"] for row in rows]))

    def right(self, number: int) -> NDArray[np.bool_]:
        """Return which pairs a configuration ordered rightly at each of `RUNGS` and at the end, [r, v]."""
        row = self.read(number)
        return row["right"][np.isin(row["examples"], (*RUNGS, row["examples"][-1]))]

    def _run(self, number: int) -> Path:
        return self.folder / "runs" / f"{number:04d}"

    def _fresh_accuracy(self, number: int, worker: Worker, fresh: EncodedSplit) -> float:
        config = self.space.trial_config(self.points[number])
        rewards, _ = score_saved_model(
            config, self._run(number) / "best", load_worker_backbone(config, worker), fresh, worker
        )
        return float((rewards[:, 0] > rewards[:, 1]).mean())

    def _write(self, number: int, numbers: dict[str, NDArray[Any]]) -> None:
        partial = self.folder / f".{number:04d}.npz"
        np.savez(partial, **numbers)
        partial.rename(self.file(number))


def record_all(recording: Recording, also: Sequence[int]) -> None:
    """Train and measure what is missing."""
    worker = join_worker_group()
    torch.set_num_threads(1)
    missing = [number for number in range(len(recording.points)) if not recording.file(number).exists()]
    # In an order of chance, so that how long the rest takes is seen early.
    np.random.default_rng(0).shuffle(missing)
    if missing:
        few = fresh_pairs(recording.space.config, recording.data, FEW)
        for number in missing:
            _timed(recording, number, lambda each: recording.record(each, worker, few))
    missing = [each for each in [*recording.best(), *also] if np.isnan(recording.read(each)["fresh"][1])]
    if missing:
        many = fresh_pairs(recording.space.config, recording.data, MANY)
        for number in missing:
            _timed(recording, number, lambda each: recording.measure(each, worker, many))
    leave_worker_group()


def _timed(recording: Recording, number: int, work: Any) -> None:
    began = time.monotonic()
    work(number)
    fresh = recording.read(number)["fresh"].round(4).tolist()
    taken = round(time.monotonic() - began, 1)
    print(json.dumps({"config": number, **recording.points[number], "fresh": fresh, "seconds": taken}), flush=True)


def main() -> None:
    """Record what is missing, and write the table when asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.search_table", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the models and numbers of each configuration are kept")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} from what the folder has")
    parser.add_argument("--also", type=int, nargs="*", default=[], help="configurations to measure on all fresh pairs")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    recording = Recording(arguments.folder)
    record_all(recording, arguments.also)
    if arguments.write:
        recording.table().write(TABLE)
        print(f"{TABLE}: {TABLE.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
