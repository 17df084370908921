"""Pair losses: against TRL's reward trainer, their definitions and finite differences."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import LlamaConfig, LlamaForSequenceClassification

from gazetune.config import LossConfig
from gazetune.errors import InputError
from gazetune.reward.model import pair_losses as losses
from gazetune.reward.model.losses.bradley_terry import bradley_terry
from gazetune.reward.model.pair_losses import check_scores, create_loss, find_loss, register_loss
from gazetune.reward.model.tiny import tiny_tokenizer

CHOSEN = [[5, 6, 7, 8], [9, 10], [11, 12, 13], [14, 15, 16]]
REJECTED = [[5, 6, 20], [9, 21, 22, 23], [11], [14, 15, 24]]
MARGINS = [0.0, 0.5, 1.0, 3.0]

TrlLoss = Callable[..., tuple[Tensor, Tensor, Tensor]]


@pytest.fixture(scope="module")
def trl_loss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrlLoss]:
    """Return a function of margins and coefficient: TRL's loss, the rewards it saw, its gradient by them."""
    trl = pytest.importorskip("trl", reason="TRL is not installed (extra dev)")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_labels=1,
        pad_token_id=0,
    )
    model = LlamaForSequenceClassification(config).double()  # float32 would round a loss of hundreds
    torch.nn.init.normal_(model.score.weight, std=2.0)  # rewards of some size
    before = dict(os.environ)

    def loss(margins: list[float] | None, center: float | None) -> tuple[Tensor, Tensor, Tensor]:
        rows: dict[str, Any] = {"chosen_ids": CHOSEN, "rejected_ids": REJECTED}
        if margins is not None:
            rows["margin"] = margins
        folder = tmp_path_factory.mktemp("trl")
        trainer = trl.RewardTrainer(
            model=model,
            args=trl.RewardConfig(
                str(folder),
                use_cpu=True,
                report_to="none",
                bf16=False,
                gradient_checkpointing=False,
                center_rewards_coefficient=center,
            ),
            train_dataset=Dataset.from_dict(rows),
            processing_class=tiny_tokenizer(["a"]),
        )
        batch = trainer.data_collator([trainer.train_dataset[row] for row in range(len(CHOSEN))])
        value, outputs = trainer.compute_loss(model, batch, return_outputs=True)
        (gradient,) = torch.autograd.grad(value, outputs.logits)
        return value.detach(), outputs.logits.detach().squeeze(-1), gradient.squeeze(-1)

    yield loss
    for name in os.environ.keys() - before.keys():  # what accelerate leaves there is nothing for other tests
        del os.environ[name]


@pytest.mark.parametrize("center", [None, 0.01, 2.0])
@pytest.mark.parametrize("margin", ["none", "score", 1.5])
def test_margin_and_centring_give_the_loss_and_the_gradient_of_trls_reward_trainer(
    trl_loss: TrlLoss, margin: Any, center: float | None
) -> None:
    margins = {"none": None, "score": MARGINS}.get(margin, [margin] * len(MARGINS))
    expected, seen, expected_gradient = trl_loss(margins, center)
    assert seen.std() > 0.5
    rewards = seen.clone().requires_grad_()
    loss = create_loss(LossConfig(margin=margin, center=center or 0.0))
    value = loss(*rewards.chunk(2), torch.tensor(MARGINS, dtype=torch.float64)).mean()
    value.backward()
    assert value.item() == pytest.approx(expected.item(), abs=1e-9)
    torch.testing.assert_close(rewards.grad, expected_gradient, atol=1e-9, rtol=0)


def test_bradley_terry_is_minus_log_sigmoid_of_the_difference_less_the_margin() -> None:
    chosen, rejected = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([1.0, 1.0, -0.5])
    plain = [math.log(1 + math.exp(-difference)) for difference in (0.0, -3.0, 1.0)]
    torch.testing.assert_close(bradley_terry(chosen, rejected), torch.tensor(plain))
    with_margin = [math.log(1 + math.exp(-difference)) for difference in (-2.0, -3.0, 0.5)]
    torch.testing.assert_close(
        bradley_terry(chosen, rejected, torch.tensor([2.0, 0.0, 0.5])), torch.tensor(with_margin)
    )


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(0, 5)), min_size=1, max_size=8),
    st.floats(0, 0.49),
)
def test_label_smoothing_is_the_cross_entropy_of_a_label_that_is_wrong_with_that_probability(
    rows: list[tuple[float, float, float]], smoothing: float
) -> None:
    chosen, rejected, margin = torch.tensor(rows, dtype=torch.float64).T
    logits = chosen - rejected - margin
    expected = binary_cross_entropy_with_logits(logits, torch.full_like(logits, 1 - smoothing), reduction="none")
    loss = create_loss(LossConfig(margin="score", label_smoothing=smoothing))
    torch.testing.assert_close(loss(chosen, rejected, margin), expected, atol=1e-12, rtol=1e-12)


def test_label_smoothing_is_conservative_dpos_with_the_difference_for_its_logits() -> None:
    logits = torch.linspace(-5, 5, 11, dtype=torch.float64)
    log = torch.nn.functional.logsigmoid
    expected = -log(logits) * (1 - 0.1) - log(-logits) * 0.1
    torch.testing.assert_close(create_loss(LossConfig(label_smoothing=0.1))(logits, 0 * logits, None), expected)


@pytest.mark.parametrize("margin", ["none", "score", 0.7])
@pytest.mark.parametrize("center", [0.0, 0.3])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_gradients_are_those_of_finite_differences(margin: Any, center: float, label_smoothing: float) -> None:
    generator = torch.Generator().manual_seed(1)
    chosen, rejected = (3 * torch.randn(6, generator=generator, dtype=torch.float64) for _ in range(2))
    loss = create_loss(LossConfig(margin=margin, center=center, label_smoothing=label_smoothing))
    scores = torch.rand(6, generator=generator)
    inputs = (chosen.requires_grad_(), rejected.requires_grad_())
    assert torch.autograd.gradcheck(lambda one, two: loss(one, two, scores), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_loss_and_gradient_are_finite_for_huge_differences(dtype: torch.dtype) -> None:
    rewards = torch.tensor([[1e15, -1e15, 1e4, -1e4], [-1e15, 1e15, -1e4, 1e4]], dtype=dtype, requires_grad=True)
    loss = create_loss(LossConfig(margin="score", center=0.01, label_smoothing=0.1))
    values = loss(rewards[0], rewards[1], torch.tensor([0.0, 9.0, 0.0, 9.0]))
    values.sum().backward()
    assert values.isfinite().all() and rewards.grad is not None and rewards.grad.isfinite().all()


def test_bradley_terry_saturates_where_it_should() -> None:
    chosen = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = bradley_terry(chosen, -chosen.detach())
    loss.sum().backward()
    assert loss.tolist() == [0.0, 2e4]
    assert chosen.grad is not None and chosen.grad.tolist() == [0.0, -1.0]


def test_the_scores_of_the_pairs_count_only_when_the_margin_is_the_score() -> None:
    rewards, scores = torch.zeros(2), torch.tensor([0.0, 3.0])
    plain = create_loss(LossConfig())
    assert torch.equal(plain(rewards, rewards, scores), plain(rewards, rewards, None))
    assert torch.equal(plain(rewards, rewards, torch.full((2,), torch.nan)), plain(rewards, rewards, None))
    by_score = create_loss(LossConfig(margin="score"))(rewards, rewards, scores)
    assert by_score.tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(3))])
    with pytest.raises(ValueError, match=r"loss.margin is score, but the batch has no scores"):
        create_loss(LossConfig(margin="score"))(rewards, rewards, None)


def test_training_pairs_without_scores_are_refused_in_one_line_when_the_margin_is_the_score() -> None:
    scores = np.array([1.0, np.nan, 2.0, np.nan], dtype=np.float32)
    with pytest.raises(InputError) as caught:
        check_scores(LossConfig(margin="score"), "own.jsonl", scores)
    assert str(caught.value) == (
        "loss.margin: score needs a score difference for every pair, and 2 of the 4 training pairs of data.source "
        "'own.jsonl' have none (first: pair 2); accepted: none, a number >= 0, or data with scores"
    )
    check_scores(LossConfig(margin="score"), "own.jsonl", scores[[0, 2]])
    for margin in ("none", 1.0):
        check_scores(LossConfig(margin=margin), "own.jsonl", scores)


def test_a_registered_loss_is_found_by_name_and_gets_margin_and_smoothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "_LOSSES", dict(losses._LOSSES))

    @register_loss("hinge")
    def hinge(chosen: Tensor, rejected: Tensor, margin: Tensor | float = 0.0, label_smoothing: float = 0.0) -> Tensor:
        return (1.0 + margin + label_smoothing - chosen + rejected).clamp(min=0.0)

    assert find_loss("hinge") is hinge
    assert find_loss("bradley_terry") is bradley_terry
    loss = create_loss(LossConfig(kind="hinge", margin=2.0, label_smoothing=0.25, center=0.5))
    assert loss(torch.tensor([1.0]), torch.tensor([3.0]), None).tolist() == [5.25 + 0.5 * 16]


@pytest.mark.parametrize("find", [find_loss, lambda name: create_loss(LossConfig(kind=name))])
def test_an_unknown_loss_is_refused_with_the_nearest_name(find: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match=r"loss.kind: unknown loss 'bradley_tery'; did you mean 'bradley_terry'\?"):
        find("bradley_tery")
