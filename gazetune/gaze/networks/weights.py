"""The files of a predictor that is a neural network: finding them, reading and checking weights and tokenizer.

A weights file is a torch checkpoint or safetensors. The two are told apart by their first bytes, because the names of
the published files do not say which one they are. torch is imported where it is used: listing the predictors must not
wait for it.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safetensors import SafetensorError
from tokenizers import Tokenizer

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.files.lfs_pointer import refuse_lfs_pointer
from gazetune.files.paths import path_exists

if TYPE_CHECKING:
    import torch
    from torch import nn

_HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:/(?P<file>[\w./-]+))?(?:@(?P<revision>[\w.-]+))?")
FILES_BESIDE_WEIGHTS = ("config.json", "tokenizer.json")
"""Files in the folder of the weights that a predictor reads too."""

_WEIGHTS_PATTERNS = ("*.safetensors", "*.bin", "*.pt", "*.pth")
_MOST_LISTED_KEYS = 10


def find_weights(config: Config) -> Path:
    """Return the weights file that `gaze.path` names (see `locate_weights`).

    Raises
    ------
    InputError
        If the key is not set, or as of `locate_weights`.
    """
    name = config.gaze.path
    if name is None:
        raise InputError(
            f"gaze.path: is not set; gaze.predictor '{config.gaze.predictor}' needs its weights: "
            "a file, a folder or a hub id"
        )
    return locate_weights(name, "gaze.path")


def locate_weights(name: str, key: str) -> Path:
    """Return the weights file that `name` stands for: a file, a folder with one, or OWNER/NAME[/FILE][@REVISION].

    Parameters
    ----------
    key
        The config key or flag that has the name, for errors.

    Raises
    ------
    InputError
        If nothing is there, the hub does not give it, or the folder has no or several weights.
    """
    path = Path(name)
    if path.is_dir():
        return _find_weights_in_folder(path, key)
    return path if path_exists(path) else _download_weights(name, key)


def _find_weights_in_folder(folder: Path, key: str) -> Path:
    formats = {path: _detect_format(path) for path in sorted(folder.iterdir()) if path.is_file()}
    for kind in ("safetensors", "torch"):
        found = [path for path, its in formats.items() if its == kind]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found)
            raise InputError(f"{key}: {folder} has several weights files; name one of {names}")
    raise InputError(f"{key}: {folder} has no weights file; accepted: a torch checkpoint or safetensors")


def _download_weights(name: str, key: str) -> Path:
    parts = _HUB_ID.fullmatch(name)
    if parts is None:
        raise InputError(
            f"{key}: '{name}' does not exist; accepted: a file, a folder, or OWNER/NAME[/FILE][@REVISION] on the hub"
        )
    from huggingface_hub import snapshot_download

    wanted = [parts["file"]] if parts["file"] else [*_WEIGHTS_PATTERNS]
    try:
        folder = Path(
            snapshot_download(
                parts["repo"], revision=parts["revision"], allow_patterns=[*wanted, *FILES_BESIDE_WEIGHTS]
            )
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"{key}: '{name}' does not exist here, and the hub does not give it ({_first_line(error)})"
        ) from None
    if parts["file"] is None:
        return _find_weights_in_folder(folder, key)
    if not (folder / parts["file"]).is_file():
        raise InputError(f"{key}: {parts['repo']} on the hub has no file '{parts['file']}'")
    return folder / parts["file"]


def _detect_format(path: Path) -> Literal["torch", "safetensors"] | None:
    with path.open("rb") as stream:
        start = stream.read(10)
    # A zip archive, or the pickle that torch wrote before 1.6; safetensors begin with the length of a JSON header.
    if start[:4] == b"PK\x03\x04" or start[:3] in (b"\x80\x02\x8a", b"\x80\x02}", b"\x80\x02c"):
        return "torch"
    return "safetensors" if start[8:9] == b"{" and start[6:8] == b"\x00\x00" else None


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file as float32 on the CPU. No code of the file is run.

    Raises
    ------
    InputError
        If it is neither a torch checkpoint nor safetensors, is damaged, holds anything but tensors under names, or a
        value that is not finite.
    """
    import safetensors.torch
    import torch

    refuse_lfs_pointer(path)
    try:
        kind = _detect_format(path)
        if kind is None:
            raise InputError(f"{path}: neither a torch checkpoint nor safetensors")
        if kind == "safetensors":
            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as weights ({_first_line(error)})") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}; accepted: tensors by name (a state dict)")
    for name, tensor in content.items():
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{path}: {name}: holds a {type(tensor).__name__}; accepted: tensors by name")
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path}: {name}: has values that are not finite")
    return {str(name): tensor.float() for name, tensor in content.items()}


def fill_module(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path, predictor: str) -> None:
    """Give `module` (which may be on the meta device) the tensors as its weights; every key and shape must fit.

    Raises
    ------
    InputError
        Naming the missing, extra and misshapen keys.
    """
    needed = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    given = {name: list(tensor.shape) for name, tensor in tensors.items()}
    wrong = {
        "missing": [name for name in needed if name not in given],
        "extra": [name for name in given if name not in needed],
        "misshapen": [
            f"{name} {shape} (accepted: {needed[name]})"
            for name, shape in given.items()
            if name in needed and shape != needed[name]
        ],
    }
    if any(wrong.values()):
        listed = "; ".join(f"{what}: {_list_keys(keys)}" for what, keys in wrong.items() if keys)
        raise InputError(f"{path}: not the weights of gaze.predictor '{predictor}'; {listed}")
    module.load_state_dict(tensors, assign=True)
    module.requires_grad_(False)
    module.eval()


def _list_keys(keys: Sequence[str]) -> str:
    more = len(keys) - _MOST_LISTED_KEYS
    return ", ".join(keys[:_MOST_LISTED_KEYS]) + (f" and {more} more" if more > 0 else "")


def load_tokenizer(weights: Path, hub_id: str, vocabulary: int) -> Tokenizer:
    """Return the tokenizer of `tokenizer.json` beside the weights, or that of `hub_id` where there is none.

    It neither pads nor cuts off, and reads the spelling of a special token as text.

    Parameters
    ----------
    vocabulary
        Rows of the embedding: the most token ids there may be.

    Raises
    ------
    InputError
        If there is no such tokenizer, it cannot be read, or it has more tokens than the embedding has rows.
    """
    file = weights.parent / "tokenizer.json"
    if not file.is_file():
        file = _download_tokenizer(weights, hub_id)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain exceptions
        raise InputError(f"{file}: cannot be read as a tokenizer ({_first_line(error)})") from None
    if (size := tokenizer.get_vocab_size()) > vocabulary:
        raise InputError(f"{file}: has {size} tokens; accepted: at most the {vocabulary} of the weights {weights.name}")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _download_tokenizer(weights: Path, hub_id: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(hub_id, "tokenizer.json"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"gaze.path: no tokenizer.json beside {weights}, and the hub does not give that of {hub_id} "
            f"({_first_line(error)})"
        ) from None


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint_network(predictor: str, weights: Path, settings: Iterable[str], version: int) -> str:
    """Return the predictor's name, hashes of its weights file and of its settings (texts), and its code's version."""
    content = file_sha256(weights)
    beside = hashlib.sha256("\0".join(settings).encode()).hexdigest()
    return f"{predictor}-{content[:32]}-{beside[:16]}-{version}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
