"""Fusions: what the backbone reads is what the arrays say, and padding never reaches it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward import fusion as room
from gazetune.reward.fusion import (
    FusedBatch,
    Fusion,
    GazeBatch,
    NoFusion,
    TokenBatch,
    check_fusion,
    compact,
    create_fusion,
    fused_length,
    fusion,
    fusion_names,
)

HIDDEN, RMS = 8, 0.02


def made(kind: str, **settings: Any) -> Fusion:
    config = Config.model_validate({"fusion": {"kind": kind, **settings}, "gaze": {"features": ["FFD", "TRT"]}})
    torch.manual_seed(0)
    return create_fusion(config, HIDDEN, RMS).eval()


@pytest.fixture
def tokens() -> TokenBatch:
    """Two rows of three and five tokens, the first padded on both sides."""
    torch.manual_seed(1)
    mask = torch.tensor([[False, True, True, True, False], [True] * 5])
    return TokenBatch(torch.randn(2, 5, HIDDEN), mask)


@pytest.fixture
def gaze() -> GazeBatch:
    """Two units in the first row and one in the second; the middle token of the first row has none."""
    torch.manual_seed(2)
    return GazeBatch(
        units=torch.rand(2, 2, 2) * 10,
        mask=torch.tensor([[True, True], [True, False]]),
        token_unit=torch.tensor([[-1, 0, -1, 1, -1], [0, 0, -1, -1, -1]]),
        token_share=torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.0, 0.0, 0.0]]),
    )


def row(fused: FusedBatch, index: int) -> Tensor:
    return fused.embeddings[index][fused.mask[index]]


def test_compact_moves_real_positions_to_the_front_in_order(tokens: TokenBatch) -> None:
    fused = compact(tokens.embeddings, tokens.mask)
    torch.testing.assert_close(row(fused, 0), tokens.embeddings[0, 1:4], rtol=0, atol=0)
    torch.testing.assert_close(row(fused, 1), tokens.embeddings[1], rtol=0, atol=0)
    assert fused.mask.tolist() == [[True, True, True, False, False], [True] * 5]
    assert fused.positions[0, :3].tolist() == [0, 1, 2]
    assert fused.pool.tolist() == [2, 4]


def test_compact_takes_no_more_positions_than_the_longest_row(tokens: TokenBatch) -> None:
    fused = compact(tokens.embeddings[:1], tokens.mask[:1])
    assert fused.embeddings.shape == (1, 3, HIDDEN)
    assert fused.mask.shape == fused.positions.shape == (1, 3)


def test_compact_replaces_what_stood_on_padding_even_if_it_is_no_number(tokens: TokenBatch) -> None:
    stray = torch.where(tokens.mask.unsqueeze(-1), tokens.embeddings, torch.nan)
    fused = compact(stray, tokens.mask)
    assert (fused.embeddings[0, 3:] == 0).all()
    assert fused.embeddings.isfinite().all()


def test_none_is_the_text_alone(tokens: TokenBatch, gaze: GazeBatch) -> None:
    none = made("none")
    torch.testing.assert_close(row(none(tokens, gaze), 0), tokens.embeddings[0, 1:4], rtol=0, atol=0)
    assert list(none.parameters()) == []


def test_add_adds_each_units_share_to_its_tokens_and_leaves_the_others_alone(
    tokens: TokenBatch, gaze: GazeBatch
) -> None:
    add = made("add")
    fused = add(tokens, gaze)
    first = tokens.embeddings[0, 1:4].clone()
    first[0] += add.project(gaze.units[0, 0])
    first[2] += add.project(gaze.units[0, 1])
    torch.testing.assert_close(row(fused, 0), first)
    second = tokens.embeddings[1].clone()
    second[:2] += add.project(0.5 * gaze.units[1, 0])
    torch.testing.assert_close(row(fused, 1), second)
    torch.testing.assert_close(row(fused, 0)[1], tokens.embeddings[0, 2], rtol=0, atol=0)


@pytest.mark.parametrize("position", ["before", "after"])
def test_concat_puts_bounded_gaze_on_its_side_of_the_text(position: str, tokens: TokenBatch, gaze: GazeBatch) -> None:
    concat = made("concat", position=position)
    opening, closing = concat.boundary.weight.unsqueeze(1)
    parts = [torch.cat([opening, concat.project(gaze.units[1, :1]), closing]), tokens.embeddings[1]]
    if position == "after":
        parts.reverse()
    fused = concat(tokens, gaze)
    torch.testing.assert_close(row(fused, 1), torch.cat(parts))
    assert fused.pool.tolist() == [3 + 2 + 2 - 1, 5 + 1 + 2 - 1]


@pytest.mark.parametrize("kind", ["none", "concat", "add"])
def test_fused_length_is_the_real_positions_of_a_row(kind: str, tokens: TokenBatch, gaze: GazeBatch) -> None:
    fused = made(kind)(tokens, gaze)
    expected = [fused_length(kind, 3, 2), fused_length(kind, 5, 1)]
    assert fused.mask.sum(1).tolist() == expected


@pytest.mark.parametrize("kind", ["concat", "add"])
def test_the_projection_starts_at_the_scale_of_the_token_embeddings(kind: str) -> None:
    scale = made(kind)
    out = scale.project(torch.rand(50, 2) * 10)
    assert float(out.detach().pow(2).mean().sqrt()) == pytest.approx(RMS, rel=0.05)
    assert "scale.factor" in dict(scale.named_parameters())


@pytest.mark.parametrize("kind", ["concat", "add"])
def test_a_fixed_scale_is_kept_as_it_is(kind: str) -> None:
    fixed = made(kind, scale=3.0)
    assert fixed.scale.factor.tolist() == [3.0]
    assert "scale.factor" not in dict(fixed.named_parameters())
    assert "scale.factor" in dict(fixed.named_buffers())


def test_boundaries_start_at_the_scale_of_the_token_embeddings() -> None:
    config = Config.model_validate({"fusion": {"kind": "concat"}})
    torch.manual_seed(0)
    boundary = create_fusion(config, 4096, RMS).boundary.weight
    assert boundary.shape == (2, 4096)
    assert float(boundary.detach().pow(2).mean().sqrt()) == pytest.approx(RMS, rel=0.05)


@pytest.mark.parametrize("kind", ["concat", "add"])
def test_measures_are_standardised_by_the_given_statistics(kind: str) -> None:
    joined = made(kind)
    joined.standardise_by(torch.tensor([2.0, 7.0]), torch.tensor([0.5, 0.0]))
    assert joined.projector.mean.tolist() == [2.0, 7.0]
    assert joined.projector.sd[0] == 0.5
    assert joined.projector.sd[1] > 0, "a measure that does not vary must not divide by zero"


def test_the_fusion_without_gaze_takes_statistics_and_needs_none() -> None:
    none = made("none")
    none.standardise_by(torch.ones(2), torch.ones(2))
    assert none.state_dict() == {}


def test_a_fusion_joins_by_decorator(monkeypatch: pytest.MonkeyPatch, tokens: TokenBatch, gaze: GazeBatch) -> None:
    monkeypatch.setattr(room, "_FUSIONS", dict(room._FUSIONS))

    @fusion("halved")
    class HalvedFusion(NoFusion):
        def fuse(self, tokens: TokenBatch, gaze: GazeBatch) -> FusedBatch:
            return compact(tokens.embeddings / 2, tokens.mask)

    assert fusion_names() == ["none", "concat", "add", "halved"]
    torch.testing.assert_close(row(made("halved")(tokens, gaze), 1), tokens.embeddings[1] / 2)


def test_a_fusion_without_fuse_says_so(tokens: TokenBatch, gaze: GazeBatch) -> None:
    with pytest.raises(TypeError, match=r"Fusion does not define fuse\(\)"):
        Fusion()(tokens, gaze)


@pytest.mark.parametrize("refuse", [check_fusion, made, lambda kind: fused_length(kind, 1, 1)])
def test_an_unknown_fusion_is_refused_with_the_nearest_name(refuse: Any) -> None:
    with pytest.raises(InputError, match=r"fusion.kind: unknown fusion 'concatt'; did you mean 'concat'\?"):
        refuse("concatt")
