"""The workers of a measured search: warm slots that note when steps began and ended.

They import no more than the slots of a real search do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from transformers import PreTrainedModel

from gazetune.train.loop import Training
from gazetune.trials import slot_worker
from gazetune.trials.messages import WorkerSettings

Loop = Callable[[dict[str, WorkerSettings]], None]


def use(loop: Loop) -> None:
    """Let the workers of the slots that this process starts run `loop` in the place of what a slot does."""
    from gazetune.trials import slot

    slot.run_worker = loop


def stamping_loop(loop_config: dict[str, WorkerSettings]) -> None:
    """Train as ever, and write a `Stamp` of each run and rank into the run's folder."""
    slot_worker.Training = StampedTraining
    slot_worker.run_worker_loop(loop_config["settings"])


@dataclass(frozen=True)
class Stamp:
    """One run on one rank. Times are seconds since the epoch."""

    opened: float
    """When the worker had its job and prepared data, and began to build the model."""
    first_step: float
    """When its first optimiser step began."""
    last_step: float
    """When its last one ended."""
    closed: float
    """When the last evaluation was reported and the engine freed."""
    resident: int
    """Bytes of the worker once the run's engine was freed."""
    examples: int


class StampedTraining(Training):
    """A run that remembers when its steps began and ended."""

    _began: float | None = None
    _ended = 0.0

    def __init__(self, *arguments: Any) -> None:
        self._opened = time.time()
        super().__init__(*arguments)

    def close(self) -> PreTrainedModel:
        """Free the engine, then write the stamp."""
        backbone = super().close()
        if self._began is not None:
            resident, examples = psutil.Process().memory_info().rss, self.plan.examples_after(self.progress.step)
            stamp = Stamp(self._opened, self._began, self._ended, time.time(), resident, examples)
            (self.folder / f"stamp-{self.worker.rank}.json").write_text(json.dumps(asdict(stamp)))
        return backbone

    def train_step(self, step: int) -> None:
        began = time.time()
        super().train_step(step)
        self._began = began if self._began is None else self._began
        self._ended = time.time()


def stamps(folder: Path) -> list[Stamp]:
    """Return the stamp of each rank of a run."""
    return [Stamp(**json.loads(file.read_text())) for file in sorted(folder.glob("stamp-*.json"))]
