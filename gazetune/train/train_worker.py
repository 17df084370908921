"""What each worker process of `gazetune train` does: it trains, and scores the test split with the best model."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from gazetune.config import Config
from gazetune.config.config_file import build_config
from gazetune.evaluate.margins import Margins, margins_file, write_margins
from gazetune.files.atomic_write import write_atomically
from gazetune.report.activity import ActivityLines
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.tracking.environment import write_environment
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.train.limits.device_capacity import read_device_capacity, refuse_excess
from gazetune.train.limits.run_failures import TrainingFailed
from gazetune.train.loop import Training
from gazetune.train.processes.backbone_cache import BackboneCache
from gazetune.train.processes.lost_worker import translate_lost_workers
from gazetune.train.processes.worker_group import (
    Worker,
    join_worker_group,
    leave_worker_group,
)
from gazetune.train.progress import EvaluationReport, ReportCallback
from gazetune.train.run_environment import describe_environment
from gazetune.train.scoring.evaluation import score_saved_model
from gazetune.train.scoring.score_documents import ResultDocument, describe_test_scores

RESULT = "result.json"
"""File in the folder of a finished run."""


@dataclass(frozen=True)
class RunAgain:
    """How a run is trained again as one before."""

    evaluations: tuple[int, ...] = ()
    """Training pairs after which it is evaluated; at the last of them it ends. None: as its config says."""
    threads: int | None = None
    """Of torch, in each worker; None: as many as there are cores for."""
    data_fingerprint: str | None = None
    """Of the pairs that the run before had."""


def train_worker(tree: dict[str, object], storage: str, name: str, run: str, uri: str | None, again: RunAgain) -> None:
    """One worker process: train, then score the test split with the best model.

    `uri` is where runs are logged, with the password that the tree of the config does not hold.
    """
    config = build_config(tree, name)
    folder = Path(storage) / name
    # transformers and torch warn of renamed functions that DeepSpeed and their own code still call.
    warnings.simplefilter("ignore", FutureWarning)
    if config.resources.workers > 1:
        # By default every worker would use all cores, and the workers would slow each other down.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // config.resources.workers))
    if again.threads is not None:
        torch.set_num_threads(again.threads)
    timeout = config.resources.worker_timeout
    worker = join_worker_group(config.resources.gpus_per_worker, timeout)
    with contextlib.ExitStack() as stack:
        stack.enter_context(translate_lost_workers(timeout))
        stack.callback(leave_worker_group)
        lines = stack.enter_context(ActivityLines(Console(stderr=True, log_path=False, quiet=not worker.is_main)))
        lines.begin("loading the model")
        data = prepare_data(config, Path(storage) / "cache")
        if worker.is_main:
            write_environment(folder, describe_environment(data, worker))
        log = _create_reporter(uri, Path(storage), run, lines) if worker.is_main else None
        last = again.evaluations[-1] if again.evaluations else None

        def report(made: EvaluationReport) -> bool:
            if log is not None:
                log(made)
            return last is None or made.examples < last

        result = train_and_score(config, data, folder, worker, lines, report, again.evaluations)
        if worker.is_main:
            write_atomically(folder / RESULT, json.dumps(result, indent=1))


def train_and_score(
    config: Config,
    data: PreparedData,
    folder: Path,
    worker: Worker,
    lines: ActivityLines,
    report: ReportCallback,
    evaluations: Sequence[int] = (),
) -> ResultDocument:
    """Train in one of the workers of a group, and score the test split with the best model.

    The two never hold a backbone each: the one that trained is used again, or freed before another is loaded.

    Raises
    ------
    TrainingFailed
        When the run cannot go on, or the worker's device cannot hold its weights and states.
    """
    refuse_excess(config, worker, read_device_capacity(worker.device))
    backbones = BackboneCache(worker)
    last = _train_to_the_end(config, data, folder, worker, backbones, lines, report, evaluations)
    worker.wait_for_all()
    lines.begin("scoring the test split with the best model")
    backbone = backbones.take_backbone(config)
    rewards, _ = score_saved_model(config, folder / "best", backbone, data.test, worker)
    if worker.is_main:
        write_margins(margins_file(folder, "test"), Margins.of_split(data, "test", rewards))
    scores = describe_test_scores(rewards, data.response_words("test"))
    return {"examples": last.examples, "seconds": last.seconds, "val_accuracy": last.best_accuracy, **scores}


def _train_to_the_end(
    config: Config,
    data: PreparedData,
    folder: Path,
    worker: Worker,
    backbones: BackboneCache,
    lines: ActivityLines,
    report: ReportCallback,
    evaluations: Sequence[int],
) -> EvaluationReport:
    """Train, and return the last report; nothing else of the training is left."""
    training = Training(config, data, folder, worker, backbones.take_backbone(config), evaluations)
    trained = weakref.ref(training)  # what shows the activity must not keep the model
    lines.begin(training.activity, lambda: getattr(trained(), "activity", "training"))
    try:
        last = training.run(report)
    finally:
        backbones.keep_backbone(config, training.close())
    if last is None:
        raise TrainingFailed("the run made no evaluation")
    return last


def _create_reporter(
    uri: str | None, storage: Path, run: str, lines: ActivityLines
) -> Callable[[EvaluationReport], None]:
    """Return what rank 0 does with a report: a line on stderr, metrics to MLflow."""
    tracker = Tracker.open(uri, storage, "gazetune")

    def report(made: EvaluationReport) -> None:
        first = made.step - len(made.train_losses) + 1
        tracker.log_series(run, "train/step_loss", made.train_losses, first)
        tracker.log_metrics(run, {**made.metrics, "examples": made.examples}, made.step)
        lines.print_line(
            f"{made.examples}/{made.budget} pairs  loss {made.metrics['train/loss']:.4f}  "
            f"validation accuracy {made.metrics['val/accuracy']:.3f}  best {made.best_accuracy:.3f}"
        )

    return report
