"""Scoring one split of preference pairs with all workers of a run (an evaluation pass).

Pairs of similar length are read together, and no worker reads more positions at a time than the budget allows. With two
workers:

    pairs, the longest first    | 1 2 | 3 4 | 5 6 7 | 8 9 10 11 |
    pass and rank that scores     1, 0  1, 1   2, 0      2, 1
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.evaluate.accuracy import summarise_rewards
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import EncodedSplit, split_rewards
from gazetune.reward.layout.passes import divide_passes
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saved_model import load_reward_model
from gazetune.train.processes.deepspeed_engine import place_model
from gazetune.train.processes.worker_group import Worker


def score_split(
    model: nn.Module, split: EncodedSplit, layout: BatchLayout, budget: int, worker: Worker
) -> NDArray[np.float64]:
    """Score every pair of a split once, in evaluation mode. Every worker calls it.

    Parameters
    ----------
    model
        A reward model, or a DeepSpeed engine around one.
    split, layout
        The pairs, and how the backbone reads them.
    budget
        The most positions that one worker reads in one pass (`train.eval_tokens`). Padding to the length of similar
        pairs is not counted.
    worker
        This worker of the group.

    Returns
    -------
    ndarray
        [pairs, 2] rewards of the chosen and the rejected responses, the same on every worker.
    """
    lengths = split.pair_lengths(layout)
    if layout.kind == "padded":  # both responses of a pair are padded to the longer one
        lengths = np.broadcast_to(lengths.max(axis=1, keepdims=True), lengths.shape)
    rewards = torch.zeros(len(split), 2, dtype=torch.float64, device=worker.device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for shares in divide_passes(lengths, budget, worker.world_size):
            own = shares[worker.rank]
            # ZeRO-3 needs every worker in every pass. A worker without pairs scores one whose reward is dropped.
            pairs = own if len(own) else shares[0][-1:]
            scores = split_rewards(model(split.batch_pairs(pairs, layout).to(worker.device)).double())
            if len(own):
                rewards[torch.from_numpy(own).to(worker.device)] = torch.stack(scores, dim=1)
    model.train(was_training)
    # Each pair was scored by one worker and is 0 on the others: the sum puts the shares together.
    return worker.sum_over_workers(rewards).cpu().numpy()


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
    with place_model(config, model, worker) as placed:
        return score_split(placed, split, model.layout, config.train.eval_tokens, worker), model


def split_metrics(rewards: NDArray[np.float64], prefix: str) -> dict[str, float]:
    """Return accuracy, loss, margin and reward statistics of rewards [pairs, 2], as `prefix/name`."""
    values = summarise_rewards(rewards[:, 0] - rewards[:, 1], rewards[:, 0], rewards[:, 1])
    return {f"{prefix}/{name}": float(value) for name, value in values.items()}
