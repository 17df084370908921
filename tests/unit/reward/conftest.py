"""Prepared planted data, made once for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.config import Config
from gazetune.reward.dataset import PreparedData, prepare


@pytest.fixture(scope="session")
def planted_config() -> Config:
    return Config.model_validate({"data": {"source": "planted", "pairs": 200}, "gaze": {"predictor": "planted"}})


@pytest.fixture(scope="session")
def planted(planted_config: Config, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare(planted_config, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def cache(planted: PreparedData) -> Path:
    return planted.folder.parent.parent
