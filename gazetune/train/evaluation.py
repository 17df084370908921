"""Scoring one split with all workers of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gazetune.evaluate.accuracy import summary
from gazetune.reward.batching import EncodedSplit
from gazetune.train.processes import Worker


def score_split(model: Any, split: EncodedSplit, pad_id: int, batch_size: int, worker: Worker) -> NDArray[np.float64]:
    """Rewards [pairs, 2] of the chosen and the rejected responses, the same on every worker.

    `model` is a reward model or a DeepSpeed engine around one; `batch_size` counts pairs over all workers.
    """
    lengths = np.diff(split.token_starts)
    # Pairs of similar length share a batch; every worker makes the same number of passes, as ZeRO-3 needs.
    order = np.argsort(np.maximum(lengths[0::2], lengths[1::2]), kind="stable")
    per_pass = max(1, batch_size // worker.world)
    passes = -(-len(order) // (per_pass * worker.world))
    rewards = torch.zeros(len(order), 2, dtype=torch.float64, device=worker.device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for share in np.array_split(order, passes):
            own = np.array_split(share, worker.world)[worker.rank]
            pairs = own if len(own) else share[:1]
            scores = model(split.batch(pairs, pad_id).to(worker.device)).double()
            if len(own):
                rewards[torch.from_numpy(own).to(worker.device)] = scores.view(2, -1).T
    model.train(was_training)
    return worker.total(rewards).cpu().numpy()


def split_metrics(rewards: NDArray[np.float64], prefix: str) -> dict[str, float]:
    """Accuracy, loss, margin and reward statistics of rewards [pairs, 2], as `prefix/name`."""
    values = summary(rewards[:, 0] - rewards[:, 1], rewards[:, 0], rewards[:, 1])
    return {f"{prefix}/{name}": float(value) for name, value in values.items()}
