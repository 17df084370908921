"""The gaze projector and the scale beside it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gazetune.reward.model.projector import PROJECTOR_WIDTH, EmbeddingScale, GazeProjector


@pytest.fixture
def projector() -> GazeProjector:
    torch.manual_seed(0)
    return GazeProjector(3, 16, (0.1, 0.3)).eval()


def test_layers_are_those_of_the_paper(projector: GazeProjector) -> None:
    kinds = [nn.Linear, nn.LayerNorm, nn.ReLU, nn.Dropout, nn.Linear, nn.Dropout, nn.LayerNorm]
    assert [type(layer) for layer in projector.layers] == kinds
    assert projector.layers[0].weight.shape == (PROJECTOR_WIDTH, 3) == (128, 3)
    assert projector.layers[4].weight.shape == (16, 128)
    assert (projector.layers[3].p, projector.layers[5].p) == (0.1, 0.3)


def test_measures_are_standardised_before_the_layers(projector: GazeProjector) -> None:
    projector.mean.copy_(torch.tensor([10.0, 3.0, 60.0]))
    projector.sd.copy_(torch.tensor([2.0, 0.5, 20.0]))
    measures = torch.tensor([[12.0, 3.0, 40.0], [10.0, 2.5, 60.0]])
    expected = projector.layers(torch.tensor([[1.0, 0.0, -1.0], [0.0, -1.0, 0.0]]))
    torch.testing.assert_close(projector(measures), expected)


def test_output_has_about_unit_scale_whatever_the_measures_scale(projector: GazeProjector) -> None:
    out = projector(torch.randn(4, 7, 3) * 1000)
    assert out.shape == (4, 7, 16)
    torch.testing.assert_close(out.pow(2).mean(-1), torch.ones(4, 7), atol=1e-2, rtol=0)


def test_one_measure_alone_is_enough() -> None:
    assert GazeProjector(1, 8, (0.0, 0.0))(torch.ones(2, 5, 1)).shape == (2, 5, 8)


def test_statistics_are_saved_but_do_not_train(projector: GazeProjector) -> None:
    assert {"mean", "sd"} <= projector.state_dict().keys()
    assert not {"mean", "sd"} & dict(projector.named_parameters()).keys()


def test_large_measures_are_standardised_before_they_are_rounded_to_bf16() -> None:
    # In bf16 1000 and 1001 are the same number; standardised they are 0 and 1.
    projector = GazeProjector(1, 8, (0.0, 0.0)).to(torch.bfloat16)
    projector.mean.fill_(1000.0)
    zero, one = projector(torch.tensor([[1000.0], [1001.0]]))
    assert zero.dtype == torch.bfloat16
    assert (zero - one).abs().max() > 0.05


@pytest.mark.parametrize("learned", [True, False])
def test_a_scale_multiplies_and_trains_only_when_learned(learned: bool) -> None:
    scale = EmbeddingScale(0.25, learned)
    assert scale(torch.full((2, 3), 2.0)).tolist() == [[0.5] * 3] * 2
    assert [name for name, _ in scale.named_parameters()] == (["factor"] if learned else [])
    assert "factor" in scale.state_dict()
