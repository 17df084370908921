"""How fast a run trains and evaluates on this machine, measured over a few steps of the real loop."""

from __future__ import annotations

import itertools
import json
import logging
import resource
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from gazetune.config import Config
from gazetune.config.config_file import build_config
from gazetune.errors import RunError
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.train.loop import Training
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.launch import launch_workers
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group
from gazetune.train.progress import EvaluationReport
from gazetune.train.scoring.evaluation import score_split
from gazetune.train.steps import StepPlan

PAIRS = 600
"""Preference pairs that are prepared, or as many as four optimiser steps take."""
EVALUATED_AFTER = (3, 4, 12, 13, 21)
"""Steps. The intervals between them are 1, 8, 1 and 8 steps long, each with one evaluation and one save.

What a long interval takes more than a short one is therefore the time of seven steps alone. The first three steps warm
up and are not counted.
"""
_RESULT = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured. Sizes in bytes."""

    seconds_per_example: float
    """Of training, with all workers of the run."""
    seconds_per_evaluated_pair: float
    seconds_per_save: float
    """What an evaluation takes beside its pairs: gathering and writing checkpoint and best model."""
    peak_memory: int
    """Of the first worker: on its GPU, or else the resident memory of its process."""
    checkpoint: int
    saved_model: int
    steps: int


def measure_speed(config: Config) -> Calibration:
    """Train a few steps of a run on some of its pairs, in a temporary folder, without MLflow, and measure them.

    The workers are processes of this machine. Nothing is left behind.

    Raises
    ------
    InputError
        When the data, the gaze or the backbone cannot be read.
    RunError
        When the run failed or was killed.
    """
    with tempfile.TemporaryDirectory(prefix="gazetune-") as folder:
        # It runs in a process of its own: the memory measured is that of a worker, and this process joins no group.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                tree = _shorten_config(config).model_dump(mode="json")
                pool.submit(_launch_measurement, config.resources.workers, tree, folder).result()
            except BrokenProcessPool:
                raise RunError("--calibrate: its process was killed, perhaps for want of memory") from None
        return Calibration(**json.loads(Path(folder, _RESULT).read_text()))


def _shorten_config(config: Config) -> Config:
    """Return the config with fewer pairs, and more epochs than are ever trained."""
    wanted = max(PAIRS, 4 * config.train.batch_size * config.train.accumulate)
    pairs = wanted if config.data.pairs is None else min(wanted, config.data.pairs)
    train = config.train.model_copy(update={"epochs": 1e6, "early_stop": None})
    return config.model_copy(update={"data": config.data.model_copy(update={"pairs": pairs}), "train": train})


def _launch_measurement(workers: int, tree: dict[str, object], folder: str) -> None:
    launch_workers(workers, _measure_as_worker, tree, folder)


def _measure_as_worker(tree: dict[str, object], folder: str) -> None:
    """One worker: train to the last evaluation; rank 0 writes what was measured."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore", FutureWarning)  # as in `gazetune train`
    config, parent = build_config(tree, "--calibrate"), Path(folder)
    torch.set_num_threads(max(1, int(config.resources.cpus_per_worker)))  # as a slot does
    worker = join_worker_group(config.resources.gpus_per_worker, config.resources.worker_timeout)
    try:
        data = prepare_data(config, parent / "cache")
        plan = StepPlan.from_config(config.train, len(data.train))
        milestones = [plan.examples_after(steps) for steps in EVALUATED_AFTER]
        training = Training(config, data, parent / "run", worker, load_worker_backbone(config, worker), milestones)
        reports: list[EvaluationReport] = []

        def report(made: EvaluationReport) -> bool:
            reports.append(made)
            return len(reports) < len(EVALUATED_AFTER)

        training.run(report)
        pair_seconds = _time_evaluation(training, worker) / len(data.validation)
        if worker.is_main:
            measured = _compute_speed(reports, pair_seconds, len(data.validation), parent / "run", worker)
            (parent / _RESULT).write_text(json.dumps(asdict(measured)))
        training.close()
    finally:
        leave_worker_group()


def _time_evaluation(training: Training, worker: Worker) -> float:
    began = time.monotonic()
    score_split(
        training.engine, training.data.validation, training.model.layout, training.config.train.eval_tokens, worker
    )
    return time.monotonic() - began


def _compute_speed(
    reports: list[EvaluationReport], pair_seconds: float, pairs: int, run: Path, worker: Worker
) -> Calibration:
    """Compute the speed from the reports at `EVALUATED_AFTER`; an evaluation scores `pairs` pairs."""
    intervals = [
        (after.seconds - before.seconds, after.examples - before.examples)
        for before, after in itertools.pairwise(reports)
    ]
    short, long = intervals[::2], intervals[1::2]
    more_seconds = sum(seconds for seconds, _ in long) - sum(seconds for seconds, _ in short)
    more_examples = sum(count for _, count in long) - sum(count for _, count in short)
    example_seconds = max(1e-9, more_seconds / more_examples)
    evaluation_seconds = sum(seconds - count * example_seconds for seconds, count in short) / len(short)
    on_gpu = worker.device.type == "cuda"
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Calibration(
        seconds_per_example=example_seconds,
        seconds_per_evaluated_pair=pair_seconds,
        seconds_per_save=max(0.0, evaluation_seconds - pair_seconds * pairs),
        peak_memory=torch.cuda.max_memory_allocated(worker.device) if on_gpu else resident,
        checkpoint=_folder_bytes(run / "last"),
        saved_model=_folder_bytes(run / "best"),
        steps=EVALUATED_AFTER[-1],
    )


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
