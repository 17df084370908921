"""Fusions: what the backbone reads is what the measures say, text by text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.layout.attention import Segments
from gazetune.reward.model import fusion_registry as fusions
from gazetune.reward.model.fusion import Fusion, GazeBatch, TokenBatch
from gazetune.reward.model.fusion_registry import create_fusion, fusion_class, fusion_names, register_fusion
from gazetune.reward.model.fusions.none import NoFusion

HIDDEN, RMS = 8, 0.02
WITH_GAZE = ["concat", "add", "gated", "cross"]


def create(kind: str, **settings: Any) -> Any:
    config = Config.model_validate({"fusion": {"kind": kind, **settings}, "gaze": {"features": ["FFD", "TRT"]}})
    torch.manual_seed(0)
    return create_fusion(config, HIDDEN, RMS).eval()


@pytest.fixture
def tokens() -> TokenBatch:
    """Two texts of three and five tokens."""
    torch.manual_seed(1)
    return TokenBatch(torch.randn(8, HIDDEN))


@pytest.fixture
def gaze() -> GazeBatch:
    """Two units in the first text and one in the second; the middle token of the first has none."""
    torch.manual_seed(2)
    return GazeBatch(
        units=torch.rand(3, 2) * 10,
        token_unit=torch.tensor([0, -1, 1, 2, 2, -1, -1, -1]),
        token_share=torch.tensor([1.0, 0.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0]),
        unit_number=torch.tensor([0, 1, 0]),
        last_unit_number=torch.tensor([0, 0, 1, 0, 0, 0, 0, 0]),
        segments=Segments((3, 5), (2, 1), ((0, 0), (0, 0)), causal=False),
    )


def opened(joined: Fusion) -> Fusion:
    """Give what starts at zero, so that gaze comes through, some other value."""
    with torch.no_grad():
        for name, parameter in joined.named_parameters():
            if name in ("gate.weight", "output.weight"):
                torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(3))
    return joined


def test_none_is_the_text_alone(tokens: TokenBatch, gaze: GazeBatch) -> None:
    none = create("none")
    torch.testing.assert_close(none(tokens, gaze), tokens.embeddings, rtol=0, atol=0)
    assert list(none.parameters()) == []


def test_add_adds_each_units_share_to_its_tokens_and_leaves_the_others_alone(
    tokens: TokenBatch, gaze: GazeBatch
) -> None:
    add = create("add")
    expected = tokens.embeddings.clone()
    expected[0] += add.project_measures(gaze.units[0])
    expected[2] += add.project_measures(gaze.units[1])
    expected[3:5] += add.project_measures(0.5 * gaze.units[2])
    fused = add(tokens, gaze)
    torch.testing.assert_close(fused, expected)
    torch.testing.assert_close(fused[[1, 5, 6, 7]], tokens.embeddings[[1, 5, 6, 7]], rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["gated", "cross"])
def test_a_fusion_that_starts_closed_is_at_first_the_text_alone(kind: str, tokens: TokenBatch, gaze: GazeBatch) -> None:
    closed = create(kind)
    torch.testing.assert_close(closed(tokens, gaze), tokens.embeddings, rtol=0, atol=0)
    assert (opened(closed)(tokens, gaze) - tokens.embeddings).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["gated", "cross"])
def test_a_fusion_that_starts_closed_can_open(kind: str, tokens: TokenBatch, gaze: GazeBatch) -> None:
    closed = create(kind)
    closed(tokens, gaze).pow(2).sum().backward()
    moved = {
        name
        for name, parameter in closed.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().max() > 0
    }
    assert moved >= {"gate.weight" if kind == "gated" else "output.weight"}


def test_gated_is_add_times_its_gate(tokens: TokenBatch, gaze: GazeBatch) -> None:
    gated = opened(create("gated"))
    added = gated(tokens, gaze) - tokens.embeddings
    expected = gated.project_on_tokens(gaze) * torch.tanh(gated.gate.weight)
    torch.testing.assert_close(added, expected, rtol=1e-4, atol=1e-7)


def test_cross_is_attention_over_the_units_of_the_same_text(tokens: TokenBatch, gaze: GazeBatch) -> None:
    cross = opened(create("cross"))
    fused = cross(tokens, gaze)
    # The second text has one unit: whatever the scores, each of its tokens reads that unit's value.
    value = cross.value(cross.projector(gaze.units[2:]))
    expected = tokens.embeddings[3:] + cross.scale(cross.output(value))
    torch.testing.assert_close(fused[3:], expected)
    # Units of the first text reach all of its tokens, with or without a unit of their own, and no other text's.
    moved = GazeBatch(**{**vars(gaze), "units": gaze.units + torch.tensor([[9.0, 9.0], [0.0, 0.0], [0.0, 0.0]])})
    changed = (cross(tokens, moved) - fused).abs().amax(dim=1) > 1e-7
    assert changed.tolist() == [True] * 3 + [False] * 5


def test_cross_knows_the_order_of_the_units(tokens: TokenBatch, gaze: GazeBatch) -> None:
    cross = opened(create("cross"))
    swapped = GazeBatch(**{**vars(gaze), "units": gaze.units[[1, 0, 2]]})
    assert (cross(tokens, swapped) - cross(tokens, gaze))[:3].abs().max() > 1e-7


@pytest.mark.parametrize("kind", WITH_GAZE)
def test_a_text_without_units_is_read_as_it_is(kind: str) -> None:
    joined = opened(create(kind))
    tokens = TokenBatch(torch.randn(3, HIDDEN))
    nothing = torch.zeros(0, dtype=torch.int64)
    segments = Segments((3,), (0,), ((0, 0),), causal=False)
    gaze = GazeBatch(torch.zeros(0, 2), torch.full((3,), -1), torch.zeros(3), nothing, nothing + 0, segments)
    gaze = GazeBatch(**{**vars(gaze), "last_unit_number": torch.zeros(3, dtype=torch.int64)})
    torch.testing.assert_close(joined(tokens, gaze)[:3], tokens.embeddings, rtol=0, atol=0)


def test_concat_gives_tokens_then_units_then_the_two_boundaries(tokens: TokenBatch, gaze: GazeBatch) -> None:
    concat = create("concat")
    expected = torch.cat([tokens.embeddings, concat.project_measures(gaze.units), concat.boundary.weight])
    torch.testing.assert_close(concat(tokens, gaze), expected)


@pytest.mark.parametrize(
    ("kind", "length"), [("none", 3), ("concat", 3 + 2 + 2), ("add", 3), ("gated", 3), ("cross", 3)]
)
def test_fused_length_is_what_the_backbone_reads_of_a_text(kind: str, length: int) -> None:
    assert fusion_class(kind).fused_length(3, 2) == length


def scale_of(joined: Any) -> Tensor:
    projected = joined.projector(torch.rand(50, 2) * 10)
    return joined.scale(projected)


@pytest.mark.parametrize("kind", WITH_GAZE)
def test_what_is_learned_starts_at_the_scale_of_the_token_embeddings(kind: str) -> None:
    scaled = create(kind)
    assert float(scale_of(scaled).detach().pow(2).mean().sqrt()) == pytest.approx(RMS, rel=0.05)
    assert "scale.factor" in dict(scaled.named_parameters())


@pytest.mark.parametrize("kind", WITH_GAZE)
def test_a_fixed_scale_is_kept_as_it_is(kind: str) -> None:
    fixed = create(kind, scale=3.0)
    assert fixed.scale.factor.tolist() == [3.0]
    assert "scale.factor" not in dict(fixed.named_parameters())
    assert "scale.factor" in dict(fixed.named_buffers())


def test_boundaries_start_at_the_scale_of_the_token_embeddings() -> None:
    config = Config.model_validate({"fusion": {"kind": "concat"}})
    torch.manual_seed(0)
    boundary = create_fusion(config, 4096, RMS).boundary.weight
    assert boundary.shape == (2, 4096)
    assert float(boundary.detach().pow(2).mean().sqrt()) == pytest.approx(RMS, rel=0.05)


@pytest.mark.parametrize("kind", WITH_GAZE)
def test_measures_are_standardised_by_the_given_statistics(kind: str) -> None:
    joined = create(kind)
    joined.set_gaze_statistics(torch.tensor([2.0, 7.0]), torch.tensor([0.5, 0.0]))
    assert joined.projector.mean.tolist() == [2.0, 7.0]
    assert joined.projector.sd[0] == 0.5
    assert joined.projector.sd[1] > 0, "a measure that does not vary must not divide by zero"


def test_the_fusion_without_gaze_takes_statistics_and_needs_none() -> None:
    none = create("none")
    none.set_gaze_statistics(torch.ones(2), torch.ones(2))
    assert none.state_dict() == {}


def register_all_for_good() -> None:
    """A fusion that was first imported while the registry is a copy would be missing afterwards."""
    for name in fusion_names():
        fusion_class(name)


def test_a_fusion_joins_by_decorator(monkeypatch: pytest.MonkeyPatch, tokens: TokenBatch, gaze: GazeBatch) -> None:
    assert sorted(fusion_names()) == ["add", "concat", "cross", "gated", "none"]
    register_all_for_good()
    monkeypatch.setattr(fusions, "_FUSIONS", dict(fusions._FUSIONS))

    @register_fusion("halved")
    class HalvedFusion(NoFusion):
        def fuse_gaze(self, tokens: TokenBatch, gaze: GazeBatch) -> Tensor:
            return tokens.embeddings / 2

    assert "halved" in fusion_names()
    torch.testing.assert_close(create("halved")(tokens, gaze), tokens.embeddings / 2)


def test_a_fusion_without_fuse_gaze_says_so(tokens: TokenBatch, gaze: GazeBatch) -> None:
    with pytest.raises(TypeError, match=r"Fusion does not define fuse_gaze\(\)"):
        Fusion(Config(), HIDDEN, RMS)(tokens, gaze)


@pytest.mark.parametrize("refuse", [fusion_class, create])
def test_an_unknown_fusion_is_refused_with_the_nearest_name(refuse: Any) -> None:
    with pytest.raises(InputError, match=r"fusion.kind: unknown fusion 'concatt'; did you mean 'concat'\?"):
        refuse("concatt")


@pytest.mark.parametrize("kind", ["none", *WITH_GAZE])
def test_frozen_nothing_of_a_fusion_trains(kind: str) -> None:
    assert not [name for name, each in create(kind, freeze=True).named_parameters() if each.requires_grad]
    assert all(each.requires_grad for each in create(kind).parameters())


def test_the_fusion_that_contributing_shows_scales_the_tokens_that_have_gaze(
    tokens: TokenBatch, gaze: GazeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_all_for_good()
    monkeypatch.setattr(fusions, "_FUSIONS", dict(fusions._FUSIONS))
    page = (Path(__file__).parents[4] / "CONTRIBUTING.md").read_text()
    exec(re.search(r"```python\n(.*?)```", page, flags=re.DOTALL)[1], {"__name__": "multiply"})
    assert fusion_class("multiply").fused_length(tokens=7, units=3) == 7
    fused = create("multiply")(tokens, gaze)
    torch.testing.assert_close(fused[[1, 5, 6, 7]], tokens.embeddings[[1, 5, 6, 7]], rtol=0, atol=0)
    added = create("add")(tokens, gaze) - tokens.embeddings
    torch.testing.assert_close(fused, tokens.embeddings * (1.0 + added))
