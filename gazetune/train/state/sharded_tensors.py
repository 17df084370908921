"""Tensors that lie in slices over the files of several workers, and how they are read whatever workers wrote them.

Each worker writes a file with the slices that it holds of every flat tensor. The metadata of the file say where in its
tensor each slice begins, and what shape that tensor has. Two workers and a tensor of shape [2, 3]:

    shard-0000.safetensors   weight: values 0 to 3   {"weight": [0, [2, 3]]}
    shard-0001.safetensors   weight: values 4 to 5   {"weight": [4, [2, 3]]}

Nothing in it depends on how the next workers divide the tensor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gazetune.errors import InputError
from gazetune.reward.saved.tensor_stream import TensorShape, TensorStream

_PATTERN = "shard-*.safetensors"


@dataclass(frozen=True)
class TensorSlice:
    """Which values of a flat tensor a worker holds."""

    start: int
    stop: int
    shape: tuple[int, ...]
    """Of the whole tensor."""


def save_slices(
    folder: Path, slices: Mapping[str, TensorSlice], values: Iterator[tuple[str, Tensor]], rank: int, world_size: int
) -> None:
    """Write the slices that one worker holds; `values` gives each of them as a flat float32 tensor.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    held = {key: each for key, each in slices.items() if each.stop > each.start}
    index = {key: [each.start, each.shape] for key, each in held.items()}
    stream = TensorStream({key: TensorShape((each.stop - each.start,)) for key, each in held.items()}, values)
    stream.save(folder / f"shard-{rank:04d}.safetensors", {"shards": str(world_size), "index": json.dumps(index)})


def holds_shards(folder: Path) -> bool:
    """Tell whether a folder has files of `save_slices`."""
    return any(folder.glob(_PATTERN))


class ShardedTensors(Mapping[str, Tensor]):
    """The tensors in a folder of shards. A tensor is put together when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Read the index of every shard.

        Raises
        ------
        InputError
            When a file is damaged or missing.
        """
        self._folder = folder
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._parts: dict[str, list[tuple[int, int, Any]]] = {}
        """For each tensor where its slices begin and end, and the open files in which they lie."""
        files = sorted(folder.glob(_PATTERN))
        for file in files:
            self._read_index(file, len(files))
        for name, shape in self._shapes.items():
            if sum(stop - start for start, stop, _ in self._parts[name]) != torch.Size(shape).numel():
                raise InputError(f"{folder}: damaged: '{name}' is not whole; remove the folder to train from the start")

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor, whole."""
        shape = torch.Size(self._shapes[name])
        return self.read_values(name, 0, shape.numel()).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        """Return the names of the tensors."""
        return iter(self._shapes)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._shapes)

    def read_values(self, name: str, start: int, stop: int) -> Tensor:
        """Return values `start` to `stop` of a flat tensor, without reading more of it."""
        values = torch.empty(stop - start)
        for begin, end, file in self._parts[name]:
            first, last = max(start, begin), min(stop, end)
            if first < last:
                values[first - start : last - start] = file.get_slice(name)[first - begin : last - begin]
        return values

    def _read_index(self, file: Path, files: int) -> None:
        try:
            opened = safe_open(file, framework="pt")  # stays open, mapped into memory
            metadata = opened.metadata()
            lengths = {name: opened.get_slice(name).get_shape()[0] for name in opened.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise InputError(f"{file}: damaged ({error}); remove the folder to train from the start") from None
        if int(metadata["shards"]) != files:
            raise InputError(
                f"{self._folder}: {files} of {metadata['shards']} shards are here; copy the folder again, or remove it "
                "to train from the start"
            )
        for name, (start, shape) in json.loads(metadata["index"]).items():
            self._shapes[name] = tuple(shape)
            self._parts.setdefault(name, []).append((start, start + lengths[name], opened))


def read_values(state: Mapping[str, Tensor], name: str, start: int, stop: int) -> Tensor:
    """Return values `start` to `stop` of a flat tensor of `state`, which may lie in shards."""
    if isinstance(state, ShardedTensors):
        return state.read_values(name, start, stop)
    return state[name].flatten()[start:stop]
