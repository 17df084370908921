"""A saved model is scored with the weights that it was trained on, in whatever precision and files, and no others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.backbone_sample import sample_backbone
from gazetune.reward.saved.saved_model import gaze_buffers, load_reward_model, save_reward_model, trained_parameters

BackboneFolder = Callable[..., Path]


def rewrite_weights(folder: Path, change: Callable[[torch.nn.Module], Any], **options: Any) -> None:
    """Change the weights of a backbone in its folder."""
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        change(model)
    for file in folder.glob("model*"):
        file.unlink()
    model.save_pretrained(folder, **options)


@pytest.fixture
def saved(
    backbone_folder: BackboneFolder, planted_config: Config, planted: PreparedData, tmp_path: Path
) -> tuple[Path, Path]:
    """A model with an adapter beside a backbone of its own: the folder of the model, and that of the backbone."""
    backbone = tmp_path / "backbone"
    shutil.copytree(backbone_folder("llama"), backbone)
    tree = planted_config.model_dump(mode="json")
    config = Config.model_validate({**tree, "backbone": str(backbone), "adapter": {"kind": "lora"}})
    model = GazeRewardModel(config, load_backbone(str(backbone), torch.float32))
    state = {name: each.detach() for name, each in {**trained_parameters(model), **gaze_buffers(model)}.items()}
    sample = sample_backbone(model)
    assert sample and all(values.dtype == torch.float32 and values.ndim == 1 for values in sample.values())
    save_reward_model(tmp_path / "best", state, model.config, planted, np.zeros((3, 2)), "", sample)
    return tmp_path / "best", backbone


def test_other_weights_of_the_same_shapes_are_refused(saved: tuple[Path, Path]) -> None:
    model, backbone = saved
    load_reward_model(model)
    rewrite_weights(backbone, lambda each: each.layers[0].self_attn.q_proj.weight.mul_(1.02))
    with pytest.raises(InputError, match=r"best: backbone '.*' has other weights than .* first '.*q_proj.*'") as caught:
        load_reward_model(model)
    assert "\n" not in str(caught.value)


def test_the_same_weights_in_another_precision_or_in_other_files_are_taken(saved: tuple[Path, Path]) -> None:
    model, backbone = saved
    for dtype in (torch.float16, torch.bfloat16):
        rewrite_weights(backbone, lambda each, dtype=dtype: each.to(dtype), max_shard_size="20KB")
        assert len(list(backbone.glob("model-*"))) > 1
        load_reward_model(model)


def test_a_model_without_a_sample_and_one_that_trains_wholly_are_loaded(
    saved: tuple[Path, Path], planted_config: Config
) -> None:
    model, backbone = saved
    (model / "backbone_sample.safetensors").unlink()  # as versions before it wrote none
    rewrite_weights(backbone, lambda each: each.layers[0].self_attn.q_proj.weight.mul_(1.02))
    load_reward_model(model)
    full = Config.model_validate({**planted_config.model_dump(mode="json"), "adapter": {"kind": "full"}})
    assert sample_backbone(GazeRewardModel(full, load_backbone("tiny", torch.float32))) == {}


def test_a_damaged_sample_is_named(saved: tuple[Path, Path]) -> None:
    (saved[0] / "backbone_sample.safetensors").write_bytes(b"0" * 40)
    with pytest.raises(InputError, match=r"backbone_sample.safetensors: damaged"):
        load_reward_model(saved[0])
