"""What a driver, the board and the slots say to each other, and what a study keeps of a trial.

A job travels to the right, what becomes of it to the left::

    driver  --TrainJob, EvaluateJob-->  board  --TrainJob, EvaluateJob, Close-->  slot
            <---- TrainingReport -----         <-------- TrainingReport --------   of a TrainJob, one an evaluation
            <--- EvaluationResult ----         <------- EvaluationResult -------   of an EvaluateJob, one in all
            <------ JobFailure -------         <---------- JobFailure ----------

All of them are frozen dataclasses. Those that cross processes are pickled by Ray; `StudyRecord` is stored as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gazetune.config import Config, ResourcesConfig

if TYPE_CHECKING:  # whoever only passes messages on does not import Optuna
    import optuna
    from optuna.trial import FrozenTrial

_RECORD = "record"
"""The user attribute of a study's trial that holds its `StudyRecord`."""

STOPPED_AT = "stopped at "
"""How the reason begins of a trial that a scheduler stopped; the number of its training examples follows."""


def trial_id_of(number: int) -> str:
    """Return the trial id that study, folders, MLflow, messages and tables share; `number` is the study's.

    Examples
    --------
    >>> trial_id_of(7)
    '0007'
    """
    return f"{number:04d}"


@dataclass(frozen=True)
class TrainJob:
    """Train one config to its full budget, or until somebody stops it at a report."""

    id: str
    """A trial's id, or the name of a baseline."""
    config: Config
    """The complete config of the run."""
    folder: Path
    """Where the run writes its checkpoints and its best model; an unfinished run goes on from what lies there."""
    data_fingerprints: tuple[str, ...]
    """The preference pairs that the search began with: the run's own must be among them."""
    milestones: tuple[int, ...]
    """Training examples at which the run is evaluated; without any, `train.eval_every` says when."""

    @property
    def resources(self) -> ResourcesConfig:
        """What a slot must have to take the job."""
        return self.config.resources


@dataclass(frozen=True)
class EvaluateJob:
    """Score one split with the saved model of a run."""

    id: str
    config: Config
    """That of the run."""
    folder: Path
    """The saved model."""
    split: str
    """`train`, `validation` or `test`."""

    @property
    def resources(self) -> ResourcesConfig:
        """What a slot must have to take the job."""
        return self.config.resources


Job = TrainJob | EvaluateJob


@dataclass(frozen=True)
class Close:
    """The slot is to end."""


@dataclass(frozen=True)
class TrainingReport:
    """One evaluation of a `TrainJob`."""

    examples: int
    """Training pairs seen."""
    budget: int
    """Training pairs of the full run."""
    step: int
    """Optimiser steps taken."""
    val_accuracy: float
    """Validation accuracy of the saved model: the best evaluation so far, the later one on ties."""
    train_seconds: float
    """Training time so far, over all starts of the run."""
    gpu_seconds: float
    """That time, times the GPUs of the run."""
    metrics: Mapping[str, float]
    """Of this evaluation, by name, such as `val/loss`."""
    train_losses: tuple[float, ...]
    """Mean loss of each optimiser step since the evaluation before this one."""
    done: bool
    """The full budget is used, or `train.early_stop` says that more of it is of no use."""


@dataclass(frozen=True)
class EvaluationResult:
    """What an `EvaluateJob` found."""

    rewards: NDArray[np.float64]
    """[pairs, 2]: of the chosen and of the rejected response."""


@dataclass(frozen=True)
class JobFailure:
    """A job that ended without its result and is not tried again."""

    reason: str
    is_infeasible: bool = False
    """Whether its config cannot be trained here: no memory for it, or a loss that is no number."""


@dataclass(frozen=True)
class DeviceFailure:
    """A GPU that failed under a worker of a slot, which ends for it."""

    node: str
    """Id of its node."""
    job: str | None
    """What the slot was at; None before its first job."""
    reason: str
    is_certain: bool
    """Whether the hardware is at fault beyond doubt, and not perhaps what the job computes."""


JobMessage = TrainingReport | EvaluationResult | JobFailure


@dataclass(frozen=True)
class WorkerSettings:
    """What every worker of a slot is started with."""

    board: str
    """Name of the board's actor."""
    slot: int
    """Number of the slot."""
    resources: ResourcesConfig
    """What the slot has."""
    cache: Path
    """Folder of prepared data."""
    threads: int
    """Of torch, in each worker."""


@dataclass(frozen=True)
class StudyRecord:
    """What a search keeps of a trial in its study: enough to list it, and to resume it."""

    params: Mapping[str, object] = field(default_factory=dict)
    """Dotted config path -> value; always has `fusion.kind` and `gaze.features`."""
    mlflow_run: str = ""
    """Id of its MLflow run; empty in the moment between a trial's proposal and its start."""
    examples: int = 0
    """Training examples (pairs) until its last evaluation."""
    seconds: float = 0.0
    """Training time until then."""
    gpu_seconds: float | None = None
    """That time, times its GPUs; None before the first evaluation."""
    val_accuracy: float | None = None
    """Validation accuracy of its saved model; None before the first evaluation."""
    ended: bool = False
    """Whether the search has noted its end; the study may not know it yet."""
    reason: str | None = None
    """Why it FAILed or was PRUNED; None of a COMPLETE trial."""

    @property
    def measures(self) -> frozenset[str] | None:
        """The reading measures that its model saw; None without gaze."""
        features = self.params.get("gaze.features")
        if self.params.get("fusion.kind") == "none" or not isinstance(features, list | tuple):
            return None
        return frozenset(map(str, features))

    @property
    def was_stopped_for_its_values(self) -> bool:
        """Whether a scheduler stopped it, not a cap or somebody by hand."""
        return self.reason is not None and self.reason.startswith(STOPPED_AT)

    @classmethod
    def read(cls, trial: FrozenTrial | optuna.Trial) -> StudyRecord:
        """Return the record that a trial of the study has; an empty one before it was started."""
        return cls.from_json(trial.user_attrs.get(_RECORD, {}))

    def write(self, trial: optuna.Trial) -> None:
        """Store the record with a trial of the study."""
        trial.set_user_attr(_RECORD, self.to_json())

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> StudyRecord:
        """Return the record that `to_json` gave.

        Examples
        --------
        >>> StudyRecord.from_json({"examples": 32, "seconds": 1.5, "reason": "loss is nan"}).ended
        True
        """
        known = {name: value for name, value in stored.items() if name in cls.__dataclass_fields__}
        return cls(**known, ended="reason" in stored)  # type: ignore[arg-type]  # JSON that was written by `to_json`

    def to_json(self) -> dict[str, object]:
        """Return the record as the study stores it. What is not known yet is left out.

        Examples
        --------
        >>> StudyRecord(params={"fusion.kind": "none"}, mlflow_run="3f2a").to_json()
        {'examples': 0, 'seconds': 0.0, 'params': {'fusion.kind': 'none'}, 'mlflow_run': '3f2a'}
        """
        stored: dict[str, object] = {
            "examples": self.examples,
            "seconds": self.seconds,
            "params": dict(self.params),
            "mlflow_run": self.mlflow_run,
        }
        if self.gpu_seconds is not None:
            stored["gpu_seconds"] = self.gpu_seconds
        if self.val_accuracy is not None:
            stored["val_accuracy"] = self.val_accuracy
        if self.ended:
            stored["reason"] = self.reason
        return stored
