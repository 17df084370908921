"""A backbone in NF4: how its weights are kept, that they stay as they are, and that a saved model scores the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.backbone import load_backbone, model_dtype
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saved_model import (
    gaze_buffers,
    load_reward_model,
    save_reward_model,
    trained_parameters,
)

bitsandbytes = pytest.importorskip("bitsandbytes")
BackboneFolder = Callable[..., Path]


def packed(model: nn.Module) -> dict[str, bitsandbytes.nn.Linear4bit]:
    return {name: each for name, each in model.named_modules() if isinstance(each, bitsandbytes.nn.Linear4bit)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_layers_are_kept_in_4_bits_with_doubly_quantised_scales(
    dtype: torch.dtype, backbone_folder: BackboneFolder
) -> None:
    folder = str(backbone_folder("llama", hidden_size=64))
    whole, model = load_backbone(folder, dtype), load_backbone(folder, dtype, "nf4")
    layers = packed(model)
    assert len(layers) == 2 * 7, "every linear layer of both blocks"
    for name, layer in layers.items():
        state = layer.weight.quant_state
        assert (layer.weight.dtype, state.quant_type, state.nested) == (torch.uint8, "nf4", True)
        weight = whole.get_submodule(name).weight.float()
        assert layer.weight.numel() == weight.numel() // 2
        kept = bitsandbytes.functional.dequantize_4bit(layer.weight.data, state).float()
        assert 0 < float((kept - weight).norm() / weight.norm()) < 0.15
    assert model.get_input_embeddings().weight.dtype == dtype


@pytest.mark.parametrize("backbone", ["tiny", "llama"])
def test_without_double_quantisation_the_scales_are_kept_whole(backbone: str, backbone_folder: BackboneFolder) -> None:
    name = backbone if backbone == "tiny" else str(backbone_folder(backbone, hidden_size=64))
    layers = packed(load_backbone(name, torch.float32, "nf4", double_quantization=False))
    assert layers
    for layer in layers.values():
        state = layer.weight.quant_state
        assert (state.quant_type, state.nested, state.absmax.dtype) == ("nf4", False, torch.float32)


def test_a_layer_computes_in_the_dtype_of_its_input_whatever_it_was_loaded_in() -> None:
    layer = packed(load_backbone("tiny", torch.float32, "nf4"))["layers.0.mlp.up_proj"]
    layer(torch.randn(2, 64, dtype=torch.bfloat16))
    assert layer.compute_dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["lora", "dora", "none"])
def test_an_nf4_model_trains_keeps_its_weights_bit_for_bit_and_scores_the_same_when_loaded(
    kind: str, backbone_folder: BackboneFolder, planted: PreparedData, tmp_path: Path
) -> None:
    config = Config.model_validate(
        {
            "backbone": str(backbone_folder("llama", hidden_size=64)),
            "adapter": {"kind": kind, "quantization": "nf4", "targets": "all-linear", "dropout": 0.0},
            "projector": {"dropout": [0.0, 0.0]},
            "gaze": {"predictor": "planted"},
            "fusion": {"kind": "concat"},
        }
    )
    dtype = model_dtype(config, torch.device("cpu"))
    model = GazeRewardModel(config, load_backbone(config.backbone, dtype, "nf4")).train()
    frozen = {name: each.detach().clone() for name, each in model.named_parameters() if not each.requires_grad}
    assert any(each.dtype == torch.uint8 for each in frozen.values())
    optimizer = torch.optim.AdamW(trained_parameters(model).values(), lr=2e-3)
    batch = planted.train.batch_pairs(np.arange(8), model.layout)
    losses = []
    for _ in range(10):
        chosen, rejected = model(batch).view(2, -1)
        loss = torch.nn.functional.softplus(rejected - chosen).mean()
        losses.append(float(loss))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():  # an evaluation between steps must not touch the weights either
            model.eval()(batch)
        model.train()
    assert losses[-1] < losses[0] - 1e-3
    assert all(torch.equal(each, frozen[name]) for name, each in model.named_parameters() if name in frozen)

    state = {name: each.detach() for name, each in trained_parameters(model).items()} | gaze_buffers(model)
    save_reward_model(tmp_path / "saved", state, config, planted, np.zeros((1, 2)), "")
    again = load_reward_model(tmp_path / "saved")
    with torch.no_grad():
        torch.testing.assert_close(again(batch), model.eval()(batch), rtol=0, atol=1e-6)
