"""A saved model in a second or two, for tests that only need one to be there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gazetune.config import Config
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saved_model import gaze_buffers, save_reward_model, trained_parameters


def save_untrained_model(folder: Path, cache: Path, backbone: str = "tiny", **data_keys: object) -> Path:
    """Save a model of a backbone with the lexical predictor, as it is before its first step."""
    pairs = {"source": "planted", "pairs": 20, **data_keys}
    config = Config.model_validate({"data": pairs, "gaze": {"predictor": "lexical"}, "backbone": backbone})
    data = prepare_data(config, cache)
    model = GazeRewardModel(config, load_backbone(backbone, torch.float32))
    model.set_gaze_statistics(torch.tensor(data.facts.gaze_mean), torch.tensor(data.facts.gaze_sd))
    state = {name: each.detach() for name, each in {**trained_parameters(model), **gaze_buffers(model)}.items()}
    save_reward_model(folder, state, config, data, np.zeros((data.facts.pairs["validation"], 2)), "")
    return folder
