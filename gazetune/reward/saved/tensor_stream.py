"""A safetensors file written tensor by tensor: whoever writes it holds one tensor at a time, however large the file.

safetensors' own `save_file` wants all tensors at once. The format (https://github.com/huggingface/safetensors):

    8 bytes     length of the header, little-endian
    header      JSON: for each tensor its dtype, shape, and first and last byte in what follows
    bytes       of all tensors
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""safetensors' names of the types that weights and buffers have."""


@dataclass(frozen=True)
class TensorShape:
    """What a tensor is like, before there is one."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    @property
    def byte_count(self) -> int:
        """Bytes of its values."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


@dataclass(frozen=True)
class TensorStream:
    """Tensors that come one after another, in any order, and what each of them is like."""

    shapes: Mapping[str, TensorShape]
    tensors: Iterator[tuple[str, Tensor]]

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> TensorStream:
        """Return the stream of tensors that are all there."""
        shapes = {name: TensorShape(tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
        return cls(shapes, iter(state.items()))

    def exhaust(self) -> None:
        """Take what is left of the stream, for workers that only take part in gathering it."""
        for _ in self.tensors:
            pass

    def save(self, file: Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write all tensors as a safetensors file.

        Raises
        ------
        OSError
            When the file cannot be written. The stream is not exhausted then.
        """
        offsets, header = _lay_out(self.shapes, metadata or {})
        missing = set(self.shapes)
        with file.open("wb") as out:
            out.write(header)
            for name, tensor in self.tensors:
                expected = self.shapes[name]
                if (tuple(tensor.shape), tensor.dtype) != (expected.shape, expected.dtype):
                    raise ValueError(f"{name}: expected {expected}, got {tensor.dtype} {tuple(tensor.shape)}")
                out.seek(offsets[name])
                out.write(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data)
                missing.remove(name)
        if missing:
            raise ValueError(f"{file}: nothing was written of {len(missing)} tensors, such as {min(missing)}")


def _lay_out(shapes: Mapping[str, TensorShape], metadata: Mapping[str, str]) -> tuple[dict[str, int], bytes]:
    """Return where in the file each tensor begins, and the bytes before them."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    begins, end = {}, 0
    # Types with more bytes stand first, so that the values of each are aligned.
    for name, each in sorted(shapes.items(), key=lambda item: -item[1].dtype.itemsize):
        begins[name], end = end, end + each.byte_count
        header[name] = {"dtype": _DTYPES[each.dtype], "shape": each.shape, "data_offsets": [begins[name], end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    before = len(text).to_bytes(8, "little") + text
    return {name: len(before) + begin for name, begin in begins.items()}, before
