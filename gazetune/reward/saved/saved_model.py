"""Saved reward models: a folder with safetensors, the resolved config, the tokenizer, facts and a model card.

`weights.safetensors` holds what trained and the gaze statistics; a frozen backbone is loaded from where it came.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from gazetune import __version__
from gazetune.config import Config
from gazetune.config.config_file import dump_config, load_config
from gazetune.errors import InputError, RunError
from gazetune.files.lfs_pointer import refuse_lfs_pointer
from gazetune.files.replaced_folder import recover_folder, replace_folder
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.model.sharding import full_shape, gathered_parameters
from gazetune.reward.saved.backbone_sample import check_backbone_sample
from gazetune.reward.saved.saved_files import (
    BACKBONE_SAMPLE,
    CARD,
    CONFIG,
    FACTS,
    IN_FOLDER,
    REWARDS,
    TEMPLATE,
    TOKENIZER,
    WEIGHTS,
)
from gazetune.reward.saved.tensor_stream import TensorStream


class SaveFailed(RunError):
    """A folder could not be written; what was saved there before is whole."""


@dataclass(frozen=True)
class ModelFacts:
    """What a saved model remembers of its training, beside the config."""

    gazetune: str
    """Version that wrote it."""
    data_fingerprint: str
    gaze_fingerprint: str
    gaze_mean: list[float]
    """[5] over the units of the training split; the weights hold those of the model's features."""
    gaze_sd: list[float]
    context: int | None
    """The most positions that the backbone takes, None for no limit."""

    @classmethod
    def from_data(cls, data: PreparedData) -> ModelFacts:
        """Return the facts of a model that trained on `data`."""
        facts = data.facts
        return cls(
            __version__, facts.data_fingerprint, facts.gaze_fingerprint, facts.gaze_mean, facts.gaze_sd, facts.context
        )


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that train, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def gaze_buffers(model: GazeRewardModel) -> dict[str, Tensor]:
    """Return what beside the backbone is kept though it does not train.

    That is gaze statistics and a fixed scale, frozen weights of the fusion, and frozen embeddings of added tokens.
    """
    kept = {f"fusion.{name}": each for name, each in model.fusion.named_buffers()}
    for part in ("fusion", "added_tokens"):
        module = getattr(model, part)
        weights = {} if module is None else dict(module.named_parameters())
        kept |= {f"{part}.{name}": each for name, each in weights.items() if not each.requires_grad}
    return kept


def save_reward_model(
    folder: Path,
    state: Mapping[str, Tensor] | TensorStream,
    config: Config,
    data: PreparedData,
    rewards: NDArray[np.float64],
    card: str,
    sample: Mapping[str, Tensor] | None = None,
) -> None:
    """Write `state`, the config, tokenizer and facts of `data`, validation `rewards` [pairs, 2] and the model card.

    With a `sample` of the frozen weights (`sample_backbone`) the model is refused on others when it is loaded.

    An older save in `folder` is replaced only when this one is complete.

    Raises
    ------
    SaveFailed
        As `replace_saved_folder`.
    """
    with replace_saved_folder(folder) as partial:
        stream = state if isinstance(state, TensorStream) else TensorStream.from_state(state)
        stream.save(partial / WEIGHTS)
        if sample:
            save_file(dict(sample), partial / BACKBONE_SAMPLE)
        (partial / CONFIG).write_text(dump_config(config), encoding="utf-8")
        shutil.copytree(data.folder / "tokenizer", partial / TOKENIZER)
        (partial / FACTS).write_text(json.dumps(asdict(ModelFacts.from_data(data)), indent=1))
        np.save(partial / REWARDS, rewards)
        (partial / CARD).write_text(card, encoding="utf-8")


@contextlib.contextmanager
def replace_saved_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to; it takes the place of `folder` when the block ends without an error.

    Raises
    ------
    SaveFailed
        When the disk is full or cannot be written. What was in `folder` stays.
    """
    with translate_save_errors(folder), replace_folder(folder) as partial:
        yield partial


@contextlib.contextmanager
def translate_save_errors(folder: Path) -> Iterator[None]:
    """Raise `SaveFailed` for a disk that is full or cannot be written, where `folder` was to be replaced."""
    try:
        yield
    except (OSError, SafetensorError, shutil.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SaveFailed(f"{folder}: cannot be saved ({reason}); what was saved there before is untouched") from error


def read_saved_config(folder: Path) -> Config:
    """Return the config of a saved model.

    Raises
    ------
    InputError
        When the folder holds no saved model, or its config is not one of this version's.
    """
    if not recover_folder(folder) or not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder}: no saved reward model here ({WEIGHTS} is missing)")
    try:
        return _find_in_folder(load_config(folder / CONFIG), folder)
    except InputError as error:
        if not (folder / FACTS).is_file():
            raise
        writer = read_facts(folder).gazetune
        other = f" (saved by gazetune {writer}, this is {__version__})" if writer != __version__ else ""
        raise InputError(f"{error}{other}") from None


def _find_in_folder(config: Config, folder: Path) -> Config:
    """Return the config with the paths of what lies in the folder itself (`portable.py`) as they are now."""

    def find(path: str) -> str:
        return f"{folder.resolve()}{path.removeprefix(IN_FOLDER)}" if path.startswith(f"{IN_FOLDER}/") else path

    path = config.gaze.path
    gaze = config.gaze if path is None else config.gaze.model_copy(update={"path": find(path)})
    return config.model_copy(update={"backbone": find(config.backbone), "gaze": gaze})


def read_facts(folder: Path) -> ModelFacts:
    """Return what a saved model remembers of its training.

    Raises
    ------
    InputError
        When the file is missing or damaged.
    """
    path = folder / FACTS
    if path.is_file():
        refuse_lfs_pointer(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        # A newer version may know more.
        return ModelFacts(**{name: values[name] for name in ModelFacts.__dataclass_fields__})
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; train the model or copy its folder again") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); train the model or copy its folder again") from None


def read_model_card(folder: Path) -> str:
    """Return the model card of a saved model; an empty text where somebody removed it."""
    path = folder / CARD
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def with_saved_template(config: Config, folder: Path) -> Config:
    """Return a config with the chat template of a saved model: its file may be gone, and its date is the model's."""
    template = folder / TOKENIZER / TEMPLATE
    if not template.is_file():
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"chat_template": str(template.resolve())})})


def has_saved_template(data: PreparedData, folder: Path) -> bool:
    """Tell whether a data set was prepared with the chat template of a saved model, its frozen date included."""
    template, prepared = folder / TOKENIZER / TEMPLATE, data.folder / TOKENIZER / TEMPLATE
    if not template.is_file():
        return True
    return prepared.is_file() and prepared.read_bytes() == template.read_bytes()


def load_saved_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a saved model.

    Raises
    ------
    InputError
        When its files are missing or damaged.
    """
    path = folder / TOKENIZER
    if not (path / "tokenizer.json").is_file():
        raise InputError(f"{path / 'tokenizer.json'}: no such file; train the model or copy its folder again")
    refuse_lfs_pointer(path / "tokenizer.json")
    try:
        return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(path, trust_remote_code=False))
    except Exception as error:  # the tokenizers library has no class of its own for a file it cannot read
        raise InputError(f"{path}: the tokenizer is damaged ({error}); train the model or copy it again") from error


def load_reward_model(
    folder: Path, backbone: PreTrainedModel | None = None, config: Config | None = None
) -> GazeRewardModel:
    """Load a saved model in evaluation mode.

    Parameters
    ----------
    folder
        A folder `best` of a run.
    backbone
        The model's backbone, where it is loaded already.
    config
        The saved config with the places of files changed.

    Raises
    ------
    InputError
        When the folder holds no saved model, its weights are of another shape, or the backbone's are others than it was
        trained on.
    """
    config = config or read_saved_config(folder)
    if backbone is None:
        adapter = config.adapter
        try:
            backbone = load_backbone(
                config.backbone,
                torch.float32,
                adapter.quantization,
                double_quantization=adapter.double_quantization,
            )
        except InputError as error:
            raise InputError(f"{folder / CONFIG}: {error}") from error
    refuse_lfs_pointer(folder / WEIGHTS)
    model = GazeRewardModel(config, backbone)
    try:
        state = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise InputError(f"{folder / WEIGHTS}: damaged ({error}); train or copy it again") from error
    load_weights(model, state, str(folder / WEIGHTS))
    check_backbone_sample(model, folder)
    return model.eval()


def load_weights(model: GazeRewardModel, state: Mapping[str, Tensor], origin: str) -> None:
    """Fill what trains and the gaze statistics from `state`, refusing missing, extra and misshapen names."""
    own = {**trained_parameters(model), **gaze_buffers(model)}
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = sorted(name for name in own.keys() & state.keys() if full_shape(own[name]) != state[name].shape)
    for problem, names in (("missing", missing), ("not of this model", extra), ("of another shape", wrong)):
        if names:
            raise InputError(
                f"{origin}: {len(names)} weights {problem}, first '{names[0]}'; the config does not fit "
                f"(backbone '{model.config.backbone}', adapter.kind {model.config.adapter.kind})"
            )
    for name, target in own.items():
        with torch.no_grad(), gathered_parameters(target, changed=True):
            target.copy_(state[name])
