"""A small saved model for each fusion, whose every weight is away from its start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gazetune.config import Config
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.saved.reward_scorer import RewardScorer
from tests.saved_models import save_perturbed_model


def config_of(fusion: str) -> Config:
    tree = {"data": {"source": "planted", "pairs": 40}, "gaze": {"predictor": "planted", "features": ["FFD", "TRT"]}}
    return Config.model_validate({**tree, "fusion": {"kind": fusion}})


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Config], PreparedData]:
    folder = tmp_path_factory.mktemp("cache")
    return lambda config: prepare_data(config, folder)


@pytest.fixture(scope="session")
def model_folder(
    prepared: Callable[[Config], PreparedData], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a function that saves a model with a fusion, once."""
    parent = tmp_path_factory.mktemp("models")

    def save(fusion: str) -> Path:
        folder = parent / fusion
        if folder.exists():
            return folder
        config = config_of(fusion)
        save_perturbed_model(folder, config, prepared(config))
        return folder

    return save


@pytest.fixture
def scorer(model_folder: Callable[[str], Path]) -> Callable[[str], RewardScorer]:
    return lambda fusion: RewardScorer(model_folder(fusion))


@pytest.fixture(scope="session")
def pair() -> PreferencePair:
    return load_splits(config_of("add").data).validation[0]
