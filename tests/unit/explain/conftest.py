"""A small saved model for each fusion, whose every weight is away from its start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gazetune.config import Config
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.reward_scorer import RewardScorer
from gazetune.reward.saved.saved_model import gaze_buffers, save_reward_model, trained_parameters


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
        data = prepared(config)
        model = GazeRewardModel(config, load_backbone(config.backbone, torch.float32))
        model.set_gaze_statistics(torch.tensor(data.facts.gaze_mean), torch.tensor(data.facts.gaze_sd))
        generator = torch.Generator().manual_seed(9)
        with torch.no_grad():
            for parameter in trained_parameters(model).values():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
        state = {name: each.detach() for name, each in {**trained_parameters(model), **gaze_buffers(model)}.items()}
        save_reward_model(folder, state, config, data, np.zeros((3, 2)), "")
        return folder

    return save


@pytest.fixture
def scorer(model_folder: Callable[[str], Path]) -> Callable[[str], RewardScorer]:
    return lambda fusion: RewardScorer(model_folder(fusion))


@pytest.fixture(scope="session")
def pair() -> PreferencePair:
    return load_splits(config_of("add").data).validation[0]
