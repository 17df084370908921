"""Saved models in a second or two, for tests that need one to be there or to give rewards that tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saved_model import gaze_buffers, save_reward_model, trained_parameters


def save_untrained_model(folder: Path, cache: Path, backbone: str = "tiny", **data_keys: object) -> Path:
    """Save a model of a backbone with the lexical predictor, as it is before its first step."""
    pairs = {"source": "planted", "pairs": 20, **data_keys}
    config = Config.model_validate({"data": pairs, "gaze": {"predictor": "lexical"}, "backbone": backbone})
    data = prepare_data(config, cache)
    model = new_model(config, data)
    _save(folder, model, config, data, np.zeros((data.facts.pairs["validation"], 2)), "")
    return folder


def save_perturbed_model(folder: Path, config: Config, data: PreparedData, card: str = "") -> GazeRewardModel:
    """Save a model of `config` whose every trained weight is away from its start, closed gates too, and return it."""
    model = new_model(config, data)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in trained_parameters(model).values():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    _save(folder, model, config, data, np.zeros((3, 2)), card)
    return model.eval()


def new_model(config: Config, data: PreparedData) -> GazeRewardModel:
    """Return a model before its first step, with the gaze statistics of the data set."""
    model = GazeRewardModel(config, load_backbone(config.backbone, torch.float32))
    model.set_gaze_statistics(torch.tensor(data.facts.gaze_mean), torch.tensor(data.facts.gaze_sd))
    return model


def _save(
    folder: Path, model: GazeRewardModel, config: Config, data: PreparedData, rewards: np.ndarray, card: str
) -> None:
    state = {name: each.detach() for name, each in {**trained_parameters(model), **gaze_buffers(model)}.items()}
    save_reward_model(folder, state, config, data, rewards, card)
