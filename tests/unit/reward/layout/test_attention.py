"""Attention within segments equals attention with the mask that says the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gazetune.reward.layout.attention import Segments, attend_segments, segment_attention


def attend_by_mask(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, window: int | None, softcap: float | None
) -> Tensor:
    """One dense computation over all positions at once, with a mask made position by position."""
    seen = torch.zeros(query.shape[1], key.shape[1], dtype=torch.bool)
    for segment, (other, count) in enumerate(segments.shared):
        first_query, first_key = sum(segments.queries[:segment]), sum(segments.keys[:segment])
        columns = [sum(segments.keys[:other]) + at for at in range(count)]
        columns += [first_key + at for at in range(segments.keys[segment])]
        for at in range(segments.queries[segment]):
            own = len(columns) - segments.queries[segment] + at
            for at_key, column in enumerate(columns):
                near = window is None or abs(at_key - own) < window
                seen[first_query + at, column] = near and (not segments.causal or at_key <= own)
    groups = query.shape[0] // key.shape[0]
    key, value = key.repeat_interleave(groups, 0), value.repeat_interleave(groups, 0)
    scores = query @ key.transpose(1, 2) * query.shape[-1] ** -0.5
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    weights = torch.softmax(scores.masked_fill(~seen, float("-inf")), dim=-1)
    return torch.nan_to_num(weights) @ value


def random_states(segments: Segments, heads: int = 4, key_heads: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    keys = sum(segments.keys)
    shapes = [(heads, sum(segments.queries), 8), (key_heads, keys, 8), (key_heads, keys, 8)]
    query, key, value = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return query, key, value


def assert_same(segments: Segments, window: int | None = None, softcap: float | None = None) -> None:
    inputs = random_states(segments)
    ours = attend_segments(*inputs, segments, window=window, softcap=softcap)
    plain = attend_by_mask(*inputs, segments, window, softcap)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)
    weights = torch.randn_like(ours)
    gradients = [torch.autograd.grad((out * weights).sum(), inputs) for out in (ours, plain)]
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("causal", [True, False])
def test_segments_equal_a_block_mask(window: int | None, softcap: float | None, causal: bool) -> None:
    assert_same(Segments.from_lengths([5, 1, 7], [(0, 0)] * 3, causal), window, softcap)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_a_segment_that_shares_a_beginning_sees_it_before_its_own(window: int | None, softcap: float | None) -> None:
    assert_same(Segments.from_lengths([6, 3, 2, 5], [(0, 0), (0, 4), (0, 0), (2, 1)], causal=True), window, softcap)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 3])
def test_neighbours_of_one_length_do_not_see_each_other(window: int | None, softcap: float | None) -> None:
    segments = Segments.from_lengths([5, 5, 5, 2, 2, 5], [(0, 0)] * 6, causal=True)
    assert segments.equal_groups == ((0, 3), (3, 2), (5, 1))
    assert_same(segments, window, softcap)


def test_segments_that_share_stand_alone_among_neighbours_of_their_length() -> None:
    segments = Segments.from_lengths([4, 4, 4, 4], [(0, 0), (0, 0), (1, 2), (0, 0)], causal=True)
    assert segments.equal_groups == ((0, 1), (1, 1), (2, 1), (3, 1))
    assert_same(segments)


def test_queries_and_keys_of_different_numbers_attend_text_by_text() -> None:
    assert_same(Segments((3, 5), (4, 2), ((0, 0), (0, 0)), causal=False))


def test_a_segment_without_keys_gives_zeros_and_a_gradient() -> None:
    query, key, value = random_states(Segments((3, 2), (0, 2), ((0, 0), (0, 0)), causal=False))
    out = attend_segments(query, key, value, Segments((3, 2), (0, 2), ((0, 0), (0, 0)), causal=False))
    assert (out[:, :3] == 0).all()
    assert torch.isfinite(torch.autograd.grad(out.sum(), query)[0]).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=4))
def test_pairs_of_any_lengths_equal_the_mask(pairs: list[tuple[int, int, int]]) -> None:
    lengths = [length for pair in pairs for length in pair[:2]]
    shared = [
        entry
        for number, (chosen, _, common) in enumerate(pairs)
        for entry in ((0, 0), (2 * number, min(common, chosen)))
    ]
    assert_same(Segments.from_lengths(lengths, shared, causal=True))


def test_a_backbone_that_does_not_pass_the_segments_on_is_refused() -> None:
    nothing = torch.zeros(1, 1, 1, 1)
    with pytest.raises(ValueError, match="Linear passed no segments"):
        segment_attention(torch.nn.Linear(1, 1), nothing, nothing, nothing, None)


def test_a_mask_is_made_once_for_all_layers() -> None:
    segments = Segments.from_lengths([4, 3], [(0, 0), (0, 2)], causal=True)
    assert segments.build_mask(1, None, torch.device("cpu")) is segments.build_mask(1, None, torch.device("cpu"))
    assert segments.build_mask(0, None, torch.device("cpu")) is None
