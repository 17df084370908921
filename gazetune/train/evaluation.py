"""Scoring one split with all workers of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gazetune.evaluate.accuracy import summarise_rewards
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import EncodedSplit, split_rewards
from gazetune.reward.layout.passes import divide_passes
from gazetune.train.processes.worker_group import Worker


def score_split(
    model: Any, split: EncodedSplit, layout: BatchLayout, budget: int, worker: Worker
) -> NDArray[np.float64]:
    """Rewards [pairs, 2] of the chosen and the rejected responses, the same on every worker.

    `model` is a reward model or a DeepSpeed engine around one; `budget` (`train.eval_tokens`) is the most positions
    that one worker reads in one pass, padding to the length of similar pairs not counted.
    """
    lengths = split.pair_lengths(layout)
    if layout.kind == "padded":  # a response takes as much room as the other one of its pair
        lengths = np.broadcast_to(lengths.max(axis=1, keepdims=True), lengths.shape)
    rewards = torch.zeros(len(split), 2, dtype=torch.float64, device=worker.device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for shares in divide_passes(lengths, budget, worker.world_size):
            own = shares[worker.rank]
            # ZeRO-3 needs every worker in every pass: one without pairs scores one that counts nothing.
            pairs = own if len(own) else shares[0][-1:]
            scores = split_rewards(model(split.batch_pairs(pairs, layout).to(worker.device)).double())
            if len(own):
                rewards[torch.from_numpy(own).to(worker.device)] = torch.stack(scores, dim=1)
    model.train(was_training)
    return worker.sum_over_workers(rewards).cpu().numpy()


def split_metrics(rewards: NDArray[np.float64], prefix: str) -> dict[str, float]:
    """Accuracy, loss, margin and reward statistics of rewards [pairs, 2], as `prefix/name`."""
    values = summarise_rewards(rewards[:, 0] - rewards[:, 1], rewards[:, 0], rewards[:, 1])
    return {f"{prefix}/{name}": float(value) for name, value in values.items()}
