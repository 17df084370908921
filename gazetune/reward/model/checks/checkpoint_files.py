"""The files of a checkpoint, in a folder or in the hub's cache: which there are, and what their headers say.

No weight is read. Shapes come from the headers of safetensors files, for a hub id that is not downloaded yet from those
on the hub, and from the pickled index of PyTorch's own files.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from huggingface_hub import get_safetensors_metadata, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, NotASafetensorsRepoError, SafetensorsParsingError
from safetensors import SafetensorError, safe_open
from transformers.utils import cached_file

from gazetune.errors import InputError
from gazetune.files.lfs_pointer import refuse_lfs_pointer

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
_SINGLE_AND_INDEX = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""Where transformers looks for weights, the first one first: one file, or the index of its shards."""
_ACCEPTED = ", ".join(name for pair in _SINGLE_AND_INDEX for name in pair)
_OTHER_FORMATS = ("*.gguf", "*.h5", "*.msgpack", "consolidated*", "*.pt", "*.pth", "*.ckpt", "*.onnx", "*.safetensors")


class TensorHeader(NamedTuple):
    """What a header says of one tensor."""

    shape: tuple[int, ...]
    dtype: str
    """As safetensors names it: F32, BF16, I8, ..."""


class CheckpointHeader(NamedTuple):
    """What the headers of a checkpoint say."""

    origin: str
    """The file that names them all, as error lines show it."""
    tensors: dict[str, TensorHeader]


def find_small_file(backbone: str, name: str) -> Path | None:
    """Return a file of a folder, or of a hub id, where it is downloaded when it is not in the cache."""
    try:
        found = cached_file(
            backbone,
            name,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except (OSError, ValueError):
        return None  # no such hub id; loading says why
    return None if found is None else Path(found)


def read_small_json(backbone: str, name: str) -> dict[str, Any] | None:
    """Return the mapping in a JSON file of the checkpoint; None where there is no such file.

    Raises
    ------
    InputError
        When it is a Git LFS pointer, no JSON, or no mapping.
    """
    path = find_small_file(backbone, name)
    if path is None:
        return None
    refuse_lfs_pointer(path)
    content = _read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; accepted: a mapping")
    return content


def refuse_damaged_json(backbone: str, name: str) -> None:
    """Raise `InputError` when a file of the checkpoint is a Git LFS pointer, or is no JSON where its name says so."""
    path = find_small_file(backbone, name)
    if path is None:
        return
    refuse_lfs_pointer(path)
    if path.suffix == ".json":
        _read_json(path)


def read_checkpoint_header(backbone: str) -> CheckpointHeader | None:
    """Return name, shape and type of every weight of a checkpoint.

    Returns
    -------
    CheckpointHeader or None
        None for a hub id whose weights are neither in the cache nor safetensors on the hub: only loading shows them.

    Raises
    ------
    InputError
        When there are no weights, a shard is missing, or a file is a Git LFS pointer, cut or damaged.
    """
    for single, index in _SINGLE_AND_INDEX:
        path = _find_large_file(backbone, single)
        if path is not None:
            return CheckpointHeader(str(path), _read_tensors([path]))
        listing = _find_large_file(backbone, index)
        if listing is not None:
            shards = _list_shards(backbone, listing)
            if shards is not None:
                return CheckpointHeader(str(listing), _read_tensors(shards))
            return _read_header_on_hub(backbone)
    if Path(backbone).is_dir():
        others = sorted({path.name for pattern in _OTHER_FORMATS for path in Path(backbone).glob(pattern)})
        found = f" (but {', '.join(others[:3])})" if others else ""
        raise InputError(f"backbone '{backbone}': the folder holds no weights{found}; accepted: {_ACCEPTED}")
    return _read_header_on_hub(backbone)


def _find_large_file(backbone: str, name: str) -> Path | None:
    """Return a file of a folder, or of a hub id where it is in the cache; nothing is downloaded."""
    if Path(backbone).is_dir():
        path = Path(backbone) / name
        return path if path.is_file() else None
    found = try_to_load_from_cache(backbone, name)
    return Path(found) if isinstance(found, str) else None


def _list_shards(backbone: str, index: Path) -> list[Path] | None:
    """Return the shards that an index names; None where those of a hub id are not all in the cache."""
    refuse_lfs_pointer(index)
    listed = _read_json(index)
    listed = listed if isinstance(listed, dict) else {}
    weights = listed.get("weight_map")
    if not isinstance(weights, dict) or not weights or not all(isinstance(name, str) for name in weights.values()):
        raise InputError(f"{index}: damaged: 'weight_map' must name the file of each weight; copy it again")
    if not isinstance(listed.get("metadata"), dict):  # transformers reads it
        raise InputError(f"{index}: damaged: 'metadata' is missing; copy it again")
    names = sorted(set(weights.values()))
    found = {name: _find_large_file(backbone, name) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing and Path(backbone).is_dir():
        raise InputError(
            f"{index}: names {len(names)} files of weights, and {len(missing)} of them are missing "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}); copy them again"
        )
    return None if missing else [path for path in found.values() if path is not None]


def _read_tensors(files: list[Path]) -> dict[str, TensorHeader]:
    tensors: dict[str, TensorHeader] = {}
    for file in files:
        refuse_lfs_pointer(file)
        tensors |= _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    return tensors


def _read_safetensors(file: Path) -> dict[str, TensorHeader]:
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  # it is no mapping
            return {name: TensorHeader(tuple(each.get_shape()), each.get_dtype()) for name, each in slices.items()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file}: damaged or cut ({error}); copy it again") from error


def _read_pickle(file: Path) -> dict[str, TensorHeader]:
    try:
        state = torch.load(file, map_location="meta", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{file}: no weights, or damaged or cut ({reason}); copy it again") from error
    if not isinstance(state, dict):
        raise InputError(f"{file}: holds a {type(state).__name__}; accepted: weights by name")
    return {
        name: TensorHeader(tuple(each.shape), _DTYPE_NAMES.get(each.dtype, str(each.dtype)))
        for name, each in state.items()
        if isinstance(each, torch.Tensor)
    }


_DTYPE_NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def _read_header_on_hub(backbone: str) -> CheckpointHeader | None:
    """Return what the headers on the hub say; a few kilobytes of each file are read."""
    if is_offline_mode():
        raise InputError(
            f"backbone '{backbone}': its weights are not all in the hub's local cache, and HF_HUB_OFFLINE forbids to "
            "download them; accepted: tiny, a local folder, a hub id that was downloaded"
        )
    try:
        metadata = get_safetensors_metadata(backbone)
    except NotASafetensorsRepoError:
        return None
    except SafetensorsParsingError as error:
        raise InputError(f"backbone '{backbone}': its weights on the hub are damaged ({error})") from error
    except (HfHubHTTPError, OSError, ValueError):
        return None  # loading tries again, and says why
    tensors = {
        name: TensorHeader(tuple(each.shape), cast(str, each.dtype))
        for file in metadata.files_metadata.values()
        for name, each in file.tensors.items()
    }
    return CheckpointHeader(f"backbone '{backbone}' on the hub", tensors)


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: no JSON ({error}); copy it again") from error
