"""Jobs and reports for tests that look at some of their fields only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gazetune.config import Config, ResourcesConfig
from gazetune.trials.messages import TrainingReport, TrainJob


def training_report(examples: int, done: bool = False, **fields: Any) -> TrainingReport:
    """A report of a run of 1000 examples; fields that are not given have some value."""
    others = {"budget": 1000, "step": 1, "val_accuracy": 0.5, "train_seconds": 1.0, "gpu_seconds": 0.0}
    others |= {"metrics": {"val/accuracy": 0.5, "val/loss": 0.7}, "train_losses": ()}
    return TrainingReport(**{**others, "examples": examples, "done": done, **fields})


def train_job(
    job_id: str, config: Config | None = None, folder: Path = Path("unused"), shape: ResourcesConfig | None = None
) -> TrainJob:
    """A job of a config, or of the default one with resources of some shape."""
    config = config or Config()
    if shape is not None:
        config = config.model_copy(update={"resources": shape})
    return TrainJob(job_id, config, folder, (), ())
