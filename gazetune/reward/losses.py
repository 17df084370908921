"""Losses of a preference pair. Another one joins with `@pair_loss("name")` in a file of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gazetune.errors import InputError, did_you_mean

PairLoss = Callable[[Tensor, Tensor], Tensor]
_LOSSES: dict[str, PairLoss] = {}


def pair_loss(name: str) -> Callable[[PairLoss], PairLoss]:
    """Register a loss `(chosen[n], rejected[n]) -> losses[n]` under `name` (the value of `loss.kind`)."""

    def register(function: PairLoss) -> PairLoss:
        _LOSSES[name] = function
        return function

    return register


def find_loss(name: str) -> PairLoss:
    """Return the loss registered under `name`, or raise `InputError`."""
    if name not in _LOSSES:
        raise InputError(f"loss.kind: unknown loss '{name}'; {did_you_mean(name, _LOSSES)}")
    return _LOSSES[name]


@pair_loss("bradley_terry")
def bradley_terry(chosen: Tensor, rejected: Tensor) -> Tensor:
    """-logsigmoid(r_chosen - r_rejected) of each pair; rewards [n] in, losses [n] out (Bradley & Terry 1952)."""
    return -torch.nn.functional.logsigmoid(chosen - rejected)
