"""A process group of this process alone, a small planted data set, and runs on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.model.backbone import load_backbone, model_dtype
from gazetune.train.loop import Training
from gazetune.train.processes.worker_group import Worker, join_worker_group, leave_worker_group

BASE: dict[str, Any] = {
    "data": {"source": "planted", "pairs": 80},
    "gaze": {"predictor": "planted"},
    "fusion": {"kind": "concat"},
    "optim": {"learning_rate": 1e-3},
    "train": {"batch_size": 8, "eval_every": 2},
}

StartTraining = Callable[..., Training]


def config_of(**sections: dict[str, Any]) -> Config:
    """The base config with some keys of some sections replaced."""
    tree = {**BASE, **{name: {**BASE.get(name, {}), **values} for name, values in sections.items()}}
    return Config.model_validate(tree)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    before = dict(os.environ)
    threads = torch.get_num_threads()
    yield join_worker_group()
    leave_worker_group()
    torch.set_num_threads(threads)
    for name in os.environ.keys() - before.keys():  # the address of this group is nothing for other tests
        del os.environ[name]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare_data(config_of(), tmp_path_factory.mktemp("cache"))


@pytest.fixture
def start(worker: Worker, data: PreparedData, tmp_path: Path) -> Iterator[StartTraining]:
    """Return a function that builds a run of some sections; what it built is closed at the end of the test."""
    runs: list[Training] = []

    def build(
        folder: str = "run",
        milestones: tuple[int, ...] = (),
        backbone: PreTrainedModel | None = None,
        **sections: dict[str, Any],
    ) -> Training:
        config = config_of(**sections)
        backbone = backbone or load_backbone(config.backbone, model_dtype(config, worker.device))
        runs.append(Training(config, data, tmp_path / folder, worker, backbone, milestones))
        return runs[-1]

    yield build
    for run in runs:
        run.engine.destroy()
