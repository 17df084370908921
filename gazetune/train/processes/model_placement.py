"""Backbones and saved models as the workers of a run hold them: whole, or divided over the workers by ZeRO-3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saving import load_reward_model, model_dtype
from gazetune.train.evaluation import score_split
from gazetune.train.processes.deepspeed_config import deepspeed_config
from gazetune.train.processes.worker_group import Worker


def load_worker_backbone(config: Config, worker: Worker) -> PreTrainedModel:
    """Load the backbone in the run's precision; under ZeRO-3 no worker ever holds all of it. Every worker calls it."""
    dtype = model_dtype(config, worker.device)
    settings = deepspeed_config(config, worker.world_size, dtype) if _divides(config, worker) else None
    return load_backbone(config.backbone, dtype, config.adapter.quantization, settings)


def score_saved_model(
    config: Config, folder: Path, backbone: PreTrainedModel, split: EncodedSplit, worker: Worker
) -> tuple[NDArray[np.float64], GazeRewardModel]:
    """Score a split with the model saved in `folder`, on a backbone from `load_worker_backbone`.

    Returns
    -------
    rewards
        [pairs, 2] of chosen and rejected responses, the same on every worker.
    model
        The model, so that its backbone can be used again.
    """
    model = load_reward_model(folder, backbone)
    model.use_layout(choose_layout(config, model.bare_backbone(), worker.device, split))
    with _placed(config, model, worker) as placed:
        return score_split(placed, split, model.layout, config.train.eval_tokens, worker), model


@contextmanager
def _placed(config: Config, model: GazeRewardModel, worker: Worker) -> Iterator[Any]:
    """Give the model on the worker's device; a divided one inside the engine that gathers its weights."""
    dtype = model_dtype(config, worker.device)
    if not _divides(config, worker):
        yield model.to(worker.device, dtype)
        return
    import deepspeed

    settings = deepspeed_config(config, worker.world_size, dtype)
    engine, *_ = deepspeed.initialize(model=model, config=settings, dist_init_required=False)
    try:
        yield engine
    finally:
        engine.destroy()


def _divides(config: Config, worker: Worker) -> bool:
    return config.deepspeed.stage == 3 and (worker.world_size > 1 or config.deepspeed.offload != "none")
