"""Attention over texts that lie one after another without padding, and over pairs that share their prompt.

The positions of a batch are cut into runs, one behind the other. A position sees its own run (its past of it, in a
decoder) and, where the run says so, the first positions of an earlier run: the prompt that a rejected response shares
with the chosen one. `segment_attention` computes just that, as an attention implementation of transformers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

SEGMENTS = "gazetune_segments"
"""Name of the implementation in transformers' registry."""

HAS_VARLEN = importlib.util.find_spec("torch.nn.attention.varlen") is not None
"""Whether this torch has the flash kernel for runs of any length (2.10 and later)."""


@dataclass(frozen=True)
class Runs:
    """Which positions see which.

    Queries of run i are `queries[i]` positions, its own keys `keys[i]` positions; both lie run after run. `shared[i]`
    is (j, n): run i also sees the first n keys of run j, which count as lying before its own; (0, 0) for none.
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    shared: tuple[tuple[int, int], ...]
    causal: bool
    """Whether a position sees no later one. The last query of a run then stands where its last key stands."""
    flash: _FlashArguments | None = None
    _masks: dict[Any, Tensor | None] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, lengths: Sequence[int], shared: Sequence[tuple[int, int]], causal: bool) -> Runs:
        """Return runs that see themselves, of these lengths."""
        return cls(tuple(lengths), tuple(lengths), tuple(shared), causal)

    def to(self, device: torch.device) -> Runs:
        """Return the same runs with the arguments of the kernel on a GPU, where there is one."""
        if device.type != "cuda":
            return self
        return Runs(self.queries, self.keys, self.shared, self.causal, _FlashArguments.of(self, device))

    @cached_property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """(first run, number of runs) of neighbours of the same lengths, which one computation does for.

        A run that shares, or that another one shares, stands alone.
        """
        sharing = {each for run, (other, count) in enumerate(self.shared) if count for each in (run, other)}
        found: list[tuple[int, int]] = []
        for run, lengths in enumerate(zip(self.queries, self.keys, strict=True)):
            first, count = found[-1] if found else (0, 0)
            if count and sharing.isdisjoint((run, first)) and lengths == (self.queries[first], self.keys[first]):
                found[-1] = (first, count + 1)
            else:
                found.append((run, 1))
        return tuple(found)

    def mask(self, run: int, window: int | None, device: torch.device) -> Tensor | None:
        """Return which keys [queries, keys] each query of a run sees, or None where plain attention says the same.

        Plain attention is causal over a run that sees only itself, and full where `causal` is off. `window` is the
        distance from which on a key is out of sight. Made once a batch and kept for the other layers.
        """
        queries, keys = self.queries[run], self.keys[run] + self.shared[run][1]
        wide = window is None or window >= keys
        if wide and (not self.causal or queries == keys):
            return None
        name = (queries, keys, None if wide else window)
        if name not in self._masks:
            ahead = torch.arange(keys, device=device) - torch.arange(keys - queries, keys, device=device)[:, None]
            seen = ahead <= 0 if self.causal else torch.ones_like(ahead, dtype=torch.bool)
            self._masks[name] = seen if wide or window is None else seen & (ahead.abs() < window)
        return self._masks[name]


@dataclass(frozen=True)
class _FlashArguments:
    """What the flash kernel takes of the runs; made once a batch, so that no layer waits for the GPU."""

    key_index: Tensor | None
    """Keys in the order of the runs, those of shared ones repeated; None where they lie so already."""
    query_starts: Tensor
    key_starts: Tensor
    longest_query: int
    longest_key: int

    @classmethod
    def of(cls, runs: Runs, device: torch.device) -> _FlashArguments:
        starts = np.concatenate([[0], np.cumsum(runs.keys)])
        seen = [own + count for own, (_, count) in zip(runs.keys, runs.shared, strict=True)]
        index = None
        if any(count for _, count in runs.shared):
            pieces = [
                piece
                for run, (other, count) in enumerate(runs.shared)
                for piece in (np.arange(starts[other], starts[other] + count), np.arange(*starts[run : run + 2]))
            ]
            index = torch.from_numpy(np.concatenate(pieces)).to(device, non_blocking=True)
        return cls(index, _starts(runs.queries, device), _starts(seen, device), max(runs.queries), max(seen))


def _starts(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32).to(device, non_blocking=True)


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    runs: Runs | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend within runs: the implementation `SEGMENTS` of transformers' attention interface.

    Parameters
    ----------
    query, key, value
        [1, heads, positions, width]; keys and values may have fewer heads.
    sliding_window
        Distance from which on a position is not seen.
    softcap
        Scores are softcap * tanh(score / softcap) (Gemma 2).

    Returns
    -------
    tuple
        [1, positions, heads, width], and None for the weights.

    Raises
    ------
    ValueError
        If the backbone did not pass the runs on: it cannot read texts without padding.
    """
    if runs is None:
        raise ValueError(f"{type(module).__name__} passed no runs to its attention")
    out = attend(query[0], key[0], value[0], runs, dropout, scaling, sliding_window, softcap)
    return out.transpose(0, 1).unsqueeze(0).contiguous(), None


AttentionInterface.register(SEGMENTS, segment_attention)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    runs: Runs,
    dropout: float = 0.0,
    scaling: float | None = None,
    window: int | None = None,
    softcap: float | None = None,
) -> Tensor:
    """Attend within runs; queries [heads, queries, width], keys and values [heads or fewer, keys, width].

    A run without keys gives zeros.
    """
    half = query.dtype in (torch.bfloat16, torch.float16)
    if runs.flash is not None and HAS_VARLEN and half and not dropout and softcap is None:
        return _attend_flash(query, key, value, runs, runs.flash, scaling, window)
    groups = query.shape[0] // key.shape[0]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=0), value.repeat_interleave(groups, dim=0)
    # Split, not sliced: the backward pass of a slice fills a whole array for each run.
    queries = query.split([runs.queries[first] * count for first, count in runs.stretches], 1)
    key_lengths = [runs.keys[first] * count for first, count in runs.stretches]
    keys, values = key.split(key_lengths, 1), value.split(key_lengths, 1)
    place = {first: at for at, (first, _) in enumerate(runs.stretches)}
    out = []
    for at, (first, repeats) in enumerate(runs.stretches):
        own_queries, own_keys, own_values = queries[at], keys[at], values[at]
        other, count = runs.shared[first]
        if count:
            own_keys = torch.cat([keys[place[other]][:, :count], own_keys], dim=1)
            own_values = torch.cat([values[place[other]][:, :count], own_values], dim=1)
        out.append(
            _attend_stretch(own_queries, own_keys, own_values, runs, first, repeats, dropout, scaling, window, softcap)
        )
    return out[0] if len(out) == 1 else torch.cat(out, dim=1)


def _attend_stretch(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    runs: Runs,
    first: int,
    repeats: int,
    dropout: float,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    if key.shape[1] == 0:
        return query * 0.0
    mask = runs.mask(first, window, query.device)
    causal = runs.causal and mask is None
    query, key, value = (states.unflatten(1, (repeats, -1)).transpose(0, 1) for states in (query, key, value))
    if softcap is None:
        read = scaled_dot_product_attention(query, key, value, mask, dropout, causal, scale=scaling)
    else:
        read = _attend_capped(query, key, value, mask, causal, dropout, scaling, softcap)
    return read.transpose(0, 1).flatten(1, 2)


def _attend_flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    runs: Runs,
    flash: _FlashArguments,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
    if flash.key_index is not None:
        key, value = key.index_select(0, flash.key_index), value.index_select(0, flash.key_index)
    left = -1 if window is None else window - 1
    out = varlen_attn(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        flash.query_starts,
        flash.key_starts,
        flash.longest_query,
        flash.longest_key,
        scale=scaling,
        window_size=(left, 0 if runs.causal else left),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return cast(Tensor, out).transpose(0, 1)


def _attend_capped(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    causal: bool,
    dropout: float,
    scaling: float | None,
    softcap: float,
) -> Tensor:
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = softcap * torch.tanh(scores / softcap)
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return torch.dropout(weights.to(query.dtype), dropout, train=dropout > 0.0) @ value
