"""Some values of the frozen weights that a model was trained on, kept with it.

A saved model holds what trained. Its backbone is loaded by a name, under which other weights of the same shapes may lie
by then: those of another fine-tuning, or of a folder that was written to since. With them the model would compute
rewards, and wrong ones. So some values are compared whenever it is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gazetune.errors import InputError
from gazetune.files.lfs_pointer import refuse_lfs_pointer
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.sharding import full_shape, gathered_parameters
from gazetune.reward.saved.saved_files import BACKBONE_SAMPLE

MATRICES = 8
"""Matrices that values are taken of. Vectors, such as those of norms, are often left as they are by a fine-tuning."""
VALUES = 512
"""Of each of them."""

_TOLERANCE = 2.0**-7
"""Relative. The same weights in bf16, fp16 and float32 differ by half of it at most."""
_TINY = 1e-6
"""What is smaller is not compared: fp16 has no such numbers."""


def sample_backbone(model: GazeRewardModel) -> dict[str, Tensor]:
    """Return values [n] float32 of some frozen matrices of the backbone, by name; nothing where all of it trains.

    Weights in 4 bits are left out, as they are packed. Every worker of a run calls it: weights that are divided over
    the workers are gathered one by one.
    """
    frozen = _list_frozen(model)
    step = max(1, len(frozen) // MATRICES)
    return {name: _read_values(weight) for name, weight in list(frozen.items())[::step][:MATRICES]}


def check_backbone_sample(model: GazeRewardModel, folder: Path) -> None:
    """Refuse a model whose backbone has other weights than it was trained on.

    What has no sample passes: models of versions before it, and those of which nothing is frozen. Divided weights are
    not compared.

    Raises
    ------
    InputError
        Names the folder, the backbone and the first weight that differs.
    """
    path = folder / BACKBONE_SAMPLE
    if not path.is_file():
        return
    refuse_lfs_pointer(path)
    try:
        known = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: damaged ({error}); train or copy it again") from error
    different = _find_difference(known, _list_frozen(model))
    if different is not None:
        raise InputError(
            f"{folder}: backbone '{model.config.backbone}' has other weights than this model was trained on, first "
            f"'{different}'; accepted: the backbone that it was trained on"
        )


def _find_difference(known: Mapping[str, Tensor], weights: Mapping[str, nn.Parameter]) -> str | None:
    for name, values in known.items():
        if name in weights and not hasattr(weights[name], "ds_id"):
            now = _read_values(weights[name])
            if now.shape != values.shape or not torch.allclose(now, values, rtol=_TOLERANCE, atol=_TINY):
                return name
    return None


def _list_frozen(model: GazeRewardModel) -> dict[str, nn.Parameter]:
    """Return the frozen matrices of the backbone by name, without those in 4 bits."""
    return {
        name: weight
        for name, weight in model.backbone.named_parameters()
        if not weight.requires_grad and weight.is_floating_point() and len(full_shape(weight)) > 1
    }


def _read_values(weight: nn.Parameter) -> Tensor:
    """Return evenly spaced values [n] of a weight, as float32 on the CPU."""
    with gathered_parameters(weight):
        count = weight.numel()
        places = torch.arange(min(VALUES, count)) * (count - 1) // max(1, min(VALUES, count) - 1)
        return weight.detach().flatten()[places.to(weight.device)].float().cpu()
