"""Scoring a split: every pair once, by however many workers, within a budget of positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import EncodedSplit, PairBatch
from gazetune.train.processes.worker_group import Worker
from gazetune.train.scoring.evaluation import score_split, split_metrics

PAIRS = 23
PACKED, PADDED = BatchLayout("packed"), BatchLayout("padded")


class SumModel(nn.Module):
    """Rewards a conversation by its token ids; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[PairBatch] = []
        self.modes: list[bool] = []

    def forward(self, batch: PairBatch) -> Tensor:
        self.batches.append(batch)
        self.modes.append(self.training)
        sums = torch.stack([ids.sum() for ids in batch.input_ids.split(list(batch.unit_segments.queries))])
        return torch.cat([sums[0::2], sums[1::2]]).float() / 1000


class OneOfSeveral(Worker):
    """A worker whose share is looked at before it is summed with the others'."""

    def sum_over_workers(self, tensor: Tensor) -> Tensor:
        return tensor


@pytest.fixture(scope="module")
def split() -> EncodedSplit:
    rng = np.random.default_rng(3)
    tokens, units = rng.integers(3, 40, 2 * PAIRS), rng.integers(1, 5, 2 * PAIRS)
    return EncodedSplit(
        ids=rng.integers(1, 100, tokens.sum(), dtype=np.int32),
        token_unit=np.zeros(tokens.sum(), dtype=np.int32),
        token_share=np.ones(tokens.sum(), dtype=np.float32),
        token_starts=np.concatenate([[0], np.cumsum(tokens)]),
        unit_index=np.zeros(units.sum(), dtype=np.int32),
        unit_starts=np.concatenate([[0], np.cumsum(units)]),
        values=np.ones((1, 5), dtype=np.float32),
        scores=np.full(PAIRS, np.nan, dtype=np.float32),
    )


def sums(split: EncodedSplit) -> np.ndarray:
    edges = zip(split.token_starts[:-1], split.token_starts[1:], strict=True)
    return np.array([split.ids[low:high].sum() for low, high in edges]).reshape(-1, 2) / 1000


@pytest.mark.parametrize("layout", [PACKED, PADDED], ids=["packed", "padded"])
@pytest.mark.parametrize("budget", [1, 150, 100_000])
def test_rewards_stand_at_their_pair_chosen_first(
    budget: int, layout: BatchLayout, split: EncodedSplit, worker: Worker
) -> None:
    rewards = score_split(SumModel(), split, layout, budget, worker)
    assert rewards.dtype == np.float64
    np.testing.assert_allclose(rewards, sums(split), rtol=1e-6)


@pytest.mark.parametrize("world", [2, 3, 40])
@pytest.mark.parametrize("budget", [1, 150, 100_000])
def test_workers_score_each_pair_once_in_the_same_number_of_passes(
    world: int, budget: int, split: EncodedSplit
) -> None:
    models = [SumModel() for _ in range(world)]
    shares = [
        score_split(model, split, PACKED, budget, OneOfSeveral(rank, world, torch.device("cpu")))
        for rank, model in enumerate(models)
    ]
    np.testing.assert_allclose(sum(shares), sums(split), rtol=1e-6)
    assert ((np.stack(shares) != 0).sum(axis=0) == 1).all()
    assert len({len(model.batches) for model in models}) == 1


@pytest.mark.parametrize(
    "layout", [PACKED, BatchLayout("packed", gaze_tokens="after")], ids=["text", "with gaze tokens"]
)
def test_no_pass_has_more_positions_than_the_budget(layout: BatchLayout, split: EncodedSplit, worker: Worker) -> None:
    model = SumModel()
    score_split(model, split, layout, 150, worker)
    positions = [batch.position_ids.numel() for batch in model.batches]
    assert max(positions) <= 150
    assert sum(positions) == split.pair_lengths(layout).sum()
    assert len(positions) < PAIRS / 2


def test_padded_both_responses_count_as_the_longer_one(split: EncodedSplit, worker: Worker) -> None:
    model = SumModel()
    score_split(model, split, PADDED, 150, worker)
    for batch in model.batches:
        longest = batch.attention_mask.sum(dim=1).view(-1, 2).amax(dim=1)
        assert 2 * longest.sum() <= 150
    widths = [batch.position_ids.shape[1] for batch in model.batches]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_scored_in_evaluation_mode_and_left_as_it_was(
    training: bool, split: EncodedSplit, worker: Worker
) -> None:
    model = SumModel().train(training)
    score_split(model, split, PACKED, 400, worker)
    assert set(model.modes) == {False}
    assert model.training is training


def test_metrics_are_named_by_the_split() -> None:
    metrics = split_metrics(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [1.0, 1.0]]), "val")
    assert metrics["val/accuracy"] == 2.5 / 4
    assert metrics["val/margin_mean"] == pytest.approx(0.5)
    assert metrics["val/reward_rejected_mean"] == pytest.approx(0.75)
    assert metrics["val/loss"] == pytest.approx(np.log1p(np.exp([-1.0, 2.0, -3.0, 0.0])).mean())
    assert all(type(value) is float for value in metrics.values())
