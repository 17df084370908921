"""Pair losses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gazetune.errors import InputError
from gazetune.reward import losses
from gazetune.reward.losses import bradley_terry, find_loss, pair_loss


def test_bradley_terry_is_minus_log_sigmoid_of_the_margin() -> None:
    chosen, rejected = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([1.0, 1.0, -0.5])
    expected = [math.log(1 + math.exp(-margin)) for margin in (0.0, -3.0, 1.0)]
    torch.testing.assert_close(bradley_terry(chosen, rejected), torch.tensor(expected))


def test_bradley_terry_is_finite_for_any_margin() -> None:
    chosen = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = bradley_terry(chosen, -chosen.detach())
    loss.sum().backward()
    assert loss.tolist() == [0.0, 2e4]
    assert chosen.grad is not None and chosen.grad.tolist() == [0.0, -1.0]


def test_a_registered_loss_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "_LOSSES", dict(losses._LOSSES))

    @pair_loss("hinge")
    def hinge(chosen: Tensor, rejected: Tensor) -> Tensor:
        return (1.0 - chosen + rejected).clamp(min=0.0)

    assert find_loss("hinge") is hinge
    assert find_loss("bradley_terry") is bradley_terry


def test_an_unknown_loss_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"loss.kind: unknown loss 'bradley_tery'; did you mean 'bradley_terry'\?"):
        find_loss("bradley_tery")
