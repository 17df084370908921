"""Scoring a split: every pair once, by however many workers, in batches of similar length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gazetune.reward.batching import EncodedSplit, PairBatch
from gazetune.reward.dataset import PreparedData
from gazetune.train.evaluation import score_split, split_metrics
from gazetune.train.processes import Worker


class LengthModel(nn.Module):
    """Rewards a conversation by its token ids; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[PairBatch] = []
        self.modes: list[bool] = []

    def forward(self, batch: PairBatch) -> Tensor:
        self.batches.append(batch)
        self.modes.append(self.training)
        return (batch.input_ids * batch.mask).sum(1).float() / 1000


class OneOfSeveral(Worker):
    """A worker whose share is looked at before it is summed with the others'."""

    def total(self, tensor: Tensor) -> Tensor:
        return tensor


def sums(split: EncodedSplit) -> np.ndarray:
    edges = zip(split.token_starts[:-1], split.token_starts[1:], strict=True)
    return np.array([split.ids[low:high].sum() for low, high in edges]).reshape(-1, 2) / 1000


@pytest.mark.parametrize("batch_size", [1, 5, 1000])
def test_rewards_stand_at_their_pair_chosen_first(batch_size: int, data: PreparedData, worker: Worker) -> None:
    rewards = score_split(LengthModel(), data.validation, data.facts.pad_id, batch_size, worker)
    assert rewards.dtype == np.float64
    np.testing.assert_allclose(rewards, sums(data.validation), rtol=1e-6)


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_workers_score_each_pair_once_in_the_same_number_of_passes(
    world: int, batch_size: int, data: PreparedData
) -> None:
    models = [LengthModel() for _ in range(world)]
    shares = [
        score_split(model, data.train, 0, batch_size, OneOfSeveral(rank, world, torch.device("cpu")))
        for rank, model in enumerate(models)
    ]
    np.testing.assert_allclose(sum(shares), sums(data.train), rtol=1e-6)
    assert ((np.stack(shares) != 0).sum(axis=0) == 1).all()
    assert len({len(model.batches) for model in models}) == 1
    most = max(len(batch.input_ids) // 2 for model in models for batch in model.batches)
    assert most <= max(1, batch_size // world)


def test_pairs_of_similar_length_share_a_batch(data: PreparedData, worker: Worker) -> None:
    model = LengthModel()
    score_split(model, data.train, 0, 4, worker)
    widths = [batch.input_ids.shape[1] for batch in model.batches]
    assert widths == sorted(widths)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_scored_in_evaluation_mode_and_left_as_it_was(
    training: bool, data: PreparedData, worker: Worker
) -> None:
    model = LengthModel().train(training)
    score_split(model, data.validation, 0, 8, worker)
    assert set(model.modes) == {False}
    assert model.training is training


def test_metrics_are_named_by_the_split() -> None:
    metrics = split_metrics(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [1.0, 1.0]]), "val")
    assert metrics["val/accuracy"] == 2.5 / 4
    assert metrics["val/margin_mean"] == pytest.approx(0.5)
    assert metrics["val/reward_rejected_mean"] == pytest.approx(0.75)
    assert metrics["val/loss"] == pytest.approx(np.log1p(np.exp([-1.0, 2.0, -3.0, 0.0])).mean())
    assert all(type(value) is float for value in metrics.values())
