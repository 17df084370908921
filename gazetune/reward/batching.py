"""Batches: from memory-mapped, flat arrays of one split to padded tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ARRAYS = ("ids", "token_unit", "token_share", "token_starts", "unit_index", "unit_starts")


@dataclass(frozen=True)
class PairBatch:
    """b preference pairs as B = 2b conversations: the chosen ones first, then the rejected ones in the same order."""

    input_ids: Tensor
    """[B, T] int64"""
    mask: Tensor
    """[B, T] bool, true at real tokens."""
    units: Tensor
    """[B, U, 5] float32 reading measures in their own units."""
    unit_mask: Tensor
    """[B, U] bool"""
    token_unit: Tensor
    """[B, T] int64 index into the row's units, -1 for none."""
    token_share: Tensor
    """[B, T] float32"""

    def to(self, device: torch.device) -> PairBatch:
        """Move every tensor to `device`."""
        return PairBatch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))


@dataclass(frozen=True)
class EncodedSplit:
    """n pairs of one split as 2n sequences: pair i is sequence 2i (chosen) and 2i + 1 (rejected).

    Tokens of sequence s stand at token_starts[s]:token_starts[s + 1] of the flat arrays, its units likewise.
    """

    ids: NDArray[np.int32]
    token_unit: NDArray[np.int32]
    """Index into the sequence's own units, -1 for none."""
    token_share: NDArray[np.float32]
    token_starts: NDArray[np.int64]
    unit_index: NDArray[np.int32]
    """Row of `values` that each unit of the sequence has its measures in."""
    unit_starts: NDArray[np.int64]
    values: NDArray[np.float32]
    """[N, 5] measures of all units of the data set, shared by its splits."""

    @classmethod
    def open(cls, folder: Path, split: str, values: NDArray[np.float32]) -> EncodedSplit:
        """Map the arrays of one split into memory."""
        arrays = {name: np.load(folder / f"{split}.{name}.npy", mmap_mode="r") for name in ARRAYS}
        return cls(**arrays, values=values)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return (len(self.token_starts) - 1) // 2

    def batch(self, pairs: NDArray[np.int64], pad_id: int) -> PairBatch:
        """Return the pairs with these indices, padded on the right to the longest."""
        rows = np.concatenate([2 * pairs, 2 * pairs + 1])
        at, tokens = _ranges(self.token_starts, rows)
        unit_at, units = _ranges(self.unit_starts, rows)
        return PairBatch(
            input_ids=torch.from_numpy(_padded(self.ids[at].astype(np.int64), tokens, pad_id)),
            mask=torch.from_numpy(tokens),
            units=torch.from_numpy(_padded(self.values[self.unit_index[unit_at]], units, 0.0)),
            unit_mask=torch.from_numpy(units),
            token_unit=torch.from_numpy(_padded(self.token_unit[at].astype(np.int64), tokens, -1)),
            token_share=torch.from_numpy(_padded(self.token_share[at], tokens, 0.0)),
        )


def _ranges(starts: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the flat positions of all items of `rows`, and the mask [rows, longest] that says where they go."""
    first, lengths = starts[rows], starts[rows + 1] - starts[rows]
    # At least one column, so that a batch without any unit still has a place to index.
    mask = np.arange(max(1, int(lengths.max()))) < lengths[:, None]
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(first, lengths) + within, mask


def _padded(flat: NDArray[Any], mask: NDArray[np.bool_], fill: float) -> NDArray[Any]:
    out = np.full((*mask.shape, *flat.shape[1:]), fill, dtype=flat.dtype)
    out[mask] = flat
    return out
