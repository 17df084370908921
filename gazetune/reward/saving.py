"""Saved reward models: a folder with safetensors, the resolved config and the tokenizer.

`weights.safetensors` holds what trained and the gaze statistics; a frozen backbone is loaded from where it came.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.config_file import dump_config, load_config
from gazetune.errors import InputError
from gazetune.reward.backbone import DTYPES, load_backbone
from gazetune.reward.model import GazeRewardModel

WEIGHTS = "weights.safetensors"


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that train, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def gaze_buffers(model: GazeRewardModel) -> dict[str, Tensor]:
    """Return the buffers beside the backbone: gaze statistics and a fixed scale."""
    return {f"fusion.{name}": buffer for name, buffer in model.fusion.named_buffers()}


def save_reward_model(
    folder: Path, state: Mapping[str, Tensor], config: Config, tokenizer: Path, margins: NDArray[np.float64]
) -> None:
    """Write `state`, the config, the tokenizer's files and the validation `margins` [pairs] to `folder`.

    An older save there is replaced only when this one is complete.
    """
    with replacing(folder) as partial:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, partial / WEIGHTS)
        (partial / "config.yaml").write_text(dump_config(config))
        shutil.copytree(tokenizer, partial / "tokenizer")
        np.save(partial / "margins.npy", margins)


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to; it takes the place of `folder` when the block ends without an error."""
    partial = _sibling(folder, "partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    replace_folder(partial, folder)


def replace_folder(new: Path, folder: Path) -> None:
    """Put the finished folder `new` in the place of `folder`; at every moment one of the two is whole."""
    previous = _sibling(folder, "previous")
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    new.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def recover_folder(folder: Path) -> bool:
    """Undo a replacement that was killed half-way; tell whether `folder` exists now.

    Several processes may ask at once, but none while another one replaces the folder.
    """
    previous = _sibling(folder, "previous")
    if not folder.exists():
        with contextlib.suppress(FileNotFoundError):  # there is none, or another worker was faster
            previous.rename(folder)
    return folder.exists()


def load_reward_model(folder: Path, backbone: PreTrainedModel | None = None) -> GazeRewardModel:
    """Load a saved model in evaluation mode; `backbone` saves loading it again.

    Raises
    ------
    InputError
        When the folder holds no saved model or its weights are of another shape.
    """
    if not recover_folder(folder) or not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder}: no saved reward model here ({WEIGHTS} is missing)")
    config = load_config(folder / "config.yaml", [])
    model = GazeRewardModel(
        config, backbone or load_backbone(config.backbone, torch.float32, config.adapter.quantization)
    )
    try:
        state = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise InputError(f"{folder / WEIGHTS}: damaged ({error}); train or copy it again") from error
    load_state(model, state, str(folder / WEIGHTS))
    return model.eval()


def load_state(model: GazeRewardModel, state: Mapping[str, Tensor], origin: str) -> None:
    """Fill what trains and the gaze statistics from `state`, refusing missing, extra and misshapen names."""
    own = {**trained_parameters(model), **gaze_buffers(model)}
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape)
    for problem, names in (("missing", missing), ("not of this model", extra), ("of another shape", wrong)):
        if names:
            raise InputError(f"{origin}: {len(names)} weights {problem}, first '{names[0]}'; the config does not fit")
    with torch.no_grad():
        for name, target in own.items():
            target.copy_(state[name])


def model_dtype(config: Config, device: torch.device) -> torch.dtype:
    """Return the dtype that `train.precision` means on `device`."""
    precision = config.train.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" else "fp32"
    return DTYPES[precision]


def _sibling(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}")
