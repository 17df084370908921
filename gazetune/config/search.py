"""Sections that say how a search goes, what a trial occupies, and where runs are logged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from gazetune.config.address import AddressText
from gazetune.config.file_names import names_of_files
from gazetune.config.quantities import parse_seconds, parse_size
from gazetune.config.section import (
    Metric,
    Positive,
    Section,
)

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""What Ray takes as the value of a node's label."""

ControlName = Literal["shuffled", "noise", "constant"]

Cap = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]

SAMPLER_NAMES = names_of_files("search/study/samplers", ("tpe", "cmaes", "nsga2", "random", "qmc", "grid"))
SCHEDULER_NAMES = names_of_files(
    "search/stopping/schedulers", ("asha", "hyperband", "median", "paired", "asha_paired", "none")
)

if TYPE_CHECKING:
    SamplerName = str
    SchedulerName = str
else:
    SamplerName = Literal[SAMPLER_NAMES]
    SchedulerName = Literal[SCHEDULER_NAMES]


class ConfirmConfig(Section):
    """How the winner of a search is confirmed (`search.confirm`)."""

    top: Positive = 3
    """The best so many COMPLETE trials on validation, controls left out, are trained again."""
    folds: Annotated[int, Field(ge=2)] = 4
    """Folds of the pairs outside test; each candidate is trained once for each."""
    seeds: Positive = 2
    """Trainings of each run that is compared on test, every one with a seed of its own."""
    controls: tuple[ControlName, ...] = ("shuffled", "noise", "constant")
    """Controls of the winner's config that are trained as often, and compared with it."""

    @field_validator("controls")
    @classmethod
    def _refuse_repeats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a control stands there twice")
        return value


CONFIRMATIONS = {"off": None, "quick": ConfirmConfig(top=2, folds=2, seeds=1), "full": ConfirmConfig()}
"""What the short values of `search.confirm` stand for."""


class SearchConfig(Section):
    """What the search does, apart from its axes."""

    trials: Positive = 20
    sampler: SamplerName = "tpe"
    """A file in `search/study/samplers/`."""
    scheduler: SchedulerName = "asha"
    """A file in `search/stopping/schedulers/`."""
    rungs: Annotated[int, Field(ge=1)] | None = None
    """Training examples at the first rung. Unset: the full budget divided by reduction**2."""
    reduction: Annotated[int, Field(ge=2)] = 3
    """A rung has this many times the examples of the last; `asha`: one of this many trials goes on from a rung."""
    level: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    """`paired`: the most that the chance may be to stop a trial which no other one beats."""
    max_failures: Annotated[int, Field(ge=0)] | None = None
    """Trials that may FAIL for the same reason. Unset: see `search.stopping.repeated_failures`."""
    max_hours: Cap | None = None
    """Hours of drivers at work on the trials. With this or another cap reached, no trial begins or goes on."""
    max_gpu_hours: Cap | None = None
    """Hours of training of all trials, times their GPUs."""
    max_disk: Positive | None = None
    """Bytes of the search's folder."""
    keep_models: Positive = 5
    """The best so many COMPLETE trials keep their models, beside those that the comparison at the end needs."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0  # Optuna takes no larger one
    objective: Metric | tuple[Literal[Metric, "gpu_seconds", "train_seconds"], ...] = "val/accuracy"
    node_patience: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 300.0
    """Seconds that the search waits, when no node can hold a trial any more, before it ends."""
    confirm: ConfirmConfig | None = ConfirmConfig()
    """How the winner is confirmed before the report; `off` (null): not at all. See `CONFIRMATIONS`."""
    storage: AddressText | None = None
    """Where the study is kept. Unset: a sqlite file in the search's folder."""

    @field_validator("confirm", mode="before")
    @classmethod
    def _parse_confirm(cls, value: object) -> object:
        name = "off" if value is False else value  # YAML 1.1 takes off for false
        if isinstance(name, str | bool | int | float):
            if name not in CONFIRMATIONS:
                raise ValueError("it is off, quick, full, or a mapping with the keys top, folds, seeds, controls")
            return CONFIRMATIONS[str(name)]
        return value

    @field_validator("max_hours", "max_gpu_hours", mode="before")
    @classmethod
    def _parse_hours(cls, value: object) -> object:
        return parse_seconds(value, "hours") / 3600 if isinstance(value, str) else value

    @field_validator("node_patience", mode="before")
    @classmethod
    def _parse_patience(cls, value: object) -> object:
        return parse_seconds(value, "seconds") if isinstance(value, str) else value

    @field_validator("max_disk", mode="before")
    @classmethod
    def _parse_max_disk(cls, value: object) -> object:
        return parse_size(value) if isinstance(value, str) else value


WORKER_TIMEOUT = 1800
"""The default of `resources.worker_timeout`: time for the slowest of many workers to load a backbone."""


class ResourcesConfig(Section):
    """What one trial occupies."""

    workers: Positive = 1
    cpus_per_worker: Annotated[float, Field(gt=0)] = 1
    gpus_per_worker: Annotated[float, Field(ge=0)] = 0
    pack: Literal["strict", "pack", "spread"] = "pack"
    """Workers of a trial lie on one node, on as few nodes as possible, or on as many as possible."""
    accelerator: str | None = None
    """The kind of GPU, as Ray's label `ray.io/accelerator-type` names it, such as `A100`. Unset: any."""
    worker_timeout: Annotated[int, Field(ge=10)] = WORKER_TIMEOUT
    """Seconds that a worker waits for another one of its group before the group ends."""

    @field_validator("accelerator")
    @classmethod
    def _check_label(cls, value: str | None) -> str | None:
        if value is not None and not _LABEL.fullmatch(value):
            raise ValueError("must be a name as Ray's labels have it: at most 63 letters, digits, '.', '_' and '-'")
        return value

    @property
    def gpus(self) -> float:
        """GPUs of all workers of the trial."""
        return self.workers * self.gpus_per_worker


def process_group_backend(device: str) -> str:
    """Return torch's name of what workers on a kind of device talk over.

    Examples
    --------
    >>> process_group_backend("cuda"), process_group_backend("cpu")
    ('cpu:gloo,cuda:nccl', 'gloo')
    """
    return "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"


class TrackingConfig(Section):
    """Where runs are logged."""

    uri: AddressText | None = None
    """MLflow tracking URI. Unset: one sqlite file in the storage folder."""
