"""The workers of a simulated search: warm slots that look each trial's curve up in the recorded table.

`gazetune.trials.slot_worker` does the rest: process group, prepared data, jobs from the board, answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.search.space.space_file import read_space
from gazetune.train.processes.worker_group import Worker
from gazetune.train.progress import EvaluationReport, ReportCallback
from gazetune.train.scoring.evaluation import split_metrics
from gazetune.train.state.rung_margins import save_margins
from gazetune.trials import slot_worker
from gazetune.trials.messages import WorkerSettings
from tests.bench.search_table import SPACE, Table, numbers


def replaying_loop(loop_config: dict[str, WorkerSettings]) -> None:
    """Answer each training job with its configuration's recorded curve, at once."""
    slot_worker.Training = ReplayedTraining
    slot_worker.run_worker_loop(loop_config["settings"])


@cache
def _recorded() -> tuple[Table, Callable[[Mapping[str, Any]], int]]:
    """Return the table, and what finds a config's place in it."""
    return Table.read(), numbers(read_space(SPACE))


class ReplayedTraining:
    """A run whose evaluations are looked up in the recorded table; what a worker writes at each is written."""

    def __init__(
        self,
        config: Config,
        data: PreparedData,
        folder: Path,
        worker: Worker,
        backbone: PreTrainedModel,
        milestones: Sequence[int],
    ) -> None:
        self._config, self._folder, self._backbone = config, folder, backbone

    def run(self, report: ReportCallback) -> None:
        """Report every evaluation of the configuration, until it is told to stop."""
        table, number = _recorded()
        batch, full, before = self._config.train.batch_size, int(table.examples[-1]), 0
        recorded = table.right[number(self._config.model_dump(mode="json"))]
        for examples, right in zip(table.examples.tolist(), recorded, strict=True):
            margins = np.where(right, 1.0, -1.0)
            rewards = np.stack([margins, np.zeros_like(margins)], axis=1)
            metrics = {"train/loss": 0.5, **split_metrics(rewards, "val")}
            save_margins(self._folder, examples, margins)
            (self._folder / "best").mkdir(exist_ok=True)
            np.save(self._folder / "best" / "rewards.npy", rewards)
            step = -(-examples // batch)
            made = EvaluationReport(
                step=step,
                examples=examples,
                budget=full,
                seconds=1e-3 * examples,
                metrics=metrics,
                best_accuracy=metrics["val/accuracy"],
                train_losses=[0.5] * (step - before),
                done=examples == full,
            )
            before = step
            if not report(made):
                return

    def close(self) -> PreTrainedModel:
        """Give the backbone back, which nothing has changed."""
        return self._backbone
