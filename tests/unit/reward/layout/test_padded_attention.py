"""Attention with dropout as one padded call: the values of a call a text, and when it is taken."""

from __future__ import annotations

import pytest
import torch

from gazetune.reward.layout.attention import Segments, attend_segments
from gazetune.reward.layout.padded_attention import attend_padded, pads_for_dropout


@pytest.mark.parametrize("keys", [(3, 1, 7, 7), (2, 0, 5, 1)])
def test_texts_padded_for_one_call_attend_as_they_do_one_by_one(keys: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    queries = (3, 1, 7, 7)
    query = torch.randn(2, sum(queries), 4, dtype=torch.float64, requires_grad=True)
    key, value = (torch.randn(2, sum(keys), 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    segments = Segments(queries, keys, ((0, 0),) * 4, causal=False)
    found = []
    for read in (
        attend_padded(query, key, value, (queries, keys), 0.0, 0.3),
        attend_segments(query, key, value, segments, scaling=0.3),
    ):
        gradients = torch.autograd.grad(read.pow(2).sum(), (query, key, value))
        found.append((read, *gradients))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


def test_dropout_drops_weights() -> None:
    torch.manual_seed(0)
    query, value = torch.randn(1, 300, 4), torch.ones(1, 300, 4)
    read = attend_padded(query, query, value, ((100, 200), (100, 200)), 0.5, None)
    assert read.std() > 0.01
    assert read.mean() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("changed", "padded"),
    [
        ({}, True),
        ({"dropout": 0.0}, False),
        ({"device": "cpu"}, False),
        ({"causal": True}, False),
        ({"window": 8}, False),
        ({"shares": True}, False),
    ],
)
def test_an_encoder_that_drops_attention_on_a_gpu_takes_one_call(changed: dict, padded: bool) -> None:
    usual = {"device": "cuda", "dropout": 0.1, "causal": False, "window": None, "shares": False}
    assert pads_for_dropout(**{**usual, **changed}) is padded
