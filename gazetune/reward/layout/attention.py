"""Attention over texts that lie one after another without padding, and over pairs that share their prompt.

The positions of a batch are cut into segments, one behind the other; usually a segment is a text. A position sees its
own segment (its past of it, in a decoder). A segment may also see the first positions of an earlier one: the prompt
that a rejected reply shares with the chosen one. With the prompt `p p p` and the replies `c c` and `r r`, the shared
layout has two segments, of which the second one sees 3 positions of the first, `shared = ((0, 0), (0, 3))`:

            keys       p p p c c | r r
    queries p          x
            p          x x
            p          x x x
            c          x x x x
            c          x x x x x
            - - - - - - - - - - - - - -
            r          x x x     | x
            r          x x x     | x x

`segment_attention` computes just the part of the table with crosses, as an attention implementation of transformers. On
a CPU it calls torch's attention for each group of equal segments, on a GPU the flash kernel for segments of any length.
The fusion `cross` attends with the same code; there the queries are a text's tokens and the keys its units of gaze.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from gazetune.reward.layout.padded_attention import attend_padded, pads_for_dropout
from gazetune.reward.layout.varlen import has_varlen, takes_width

SEGMENT_ATTENTION = "gazetune_segments"
"""Name of the implementation in transformers' registry."""


@dataclass(frozen=True)
class Segments:
    """Which positions see which.

    The queries of segment i are `queries[i]` positions, its own keys `keys[i]` positions. Both lie segment after
    segment. `shared[i]` is (j, n): segment i also sees the first n keys of segment j, which count as lying before its
    own; (0, 0) for none.

    Examples
    --------
    >>> segments = Segments.from_lengths([5, 2], shared=[(0, 0), (0, 3)], causal=True)
    >>> segments.build_mask(1, window=None, device=torch.device("cpu")).int().tolist()
    [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    shared: tuple[tuple[int, int], ...]
    causal: bool
    """Whether a position sees no later one. The last query of a segment then stands where its last key stands."""
    flash: _FlashArguments | None = None
    _masks: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict, compare=False)

    @classmethod
    def from_lengths(cls, lengths: Sequence[int], shared: Sequence[tuple[int, int]], causal: bool) -> Segments:
        """Return segments of these lengths that see themselves."""
        return cls(tuple(lengths), tuple(lengths), tuple(shared), causal)

    def to(self, device: torch.device) -> Segments:
        """Return the same segments, on a GPU that has the kernel with its arguments."""
        if device.type != "cuda" or not has_varlen(device.index or 0):
            return self
        return Segments(self.queries, self.keys, self.shared, self.causal, _FlashArguments.from_segments(self, device))

    @cached_property
    def equal_groups(self) -> tuple[tuple[int, int], ...]:
        """(first segment, number of segments) of neighbours of the same lengths, for which one computation does.

        A segment that shares, or that another one shares, stands alone.
        """
        sharing = {each for segment, (other, count) in enumerate(self.shared) if count for each in (segment, other)}
        found: list[tuple[int, int]] = []
        for segment, lengths in enumerate(zip(self.queries, self.keys, strict=True)):
            first, count = found[-1] if found else (0, 0)
            if count and sharing.isdisjoint((segment, first)) and lengths == (self.queries[first], self.keys[first]):
                found[-1] = (first, count + 1)
            else:
                found.append((segment, 1))
        return tuple(found)

    def build_mask(self, segment: int, window: int | None, device: torch.device) -> Tensor | None:
        """Return which keys [queries, keys] each query of a segment sees, or None where no mask is needed.

        None is needed where torch's plain attention says the same: it is causal over a segment that sees only itself,
        and full where `causal` is off. A mask is made once a batch and kept for the other layers.

        Parameters
        ----------
        segment
            Number of the segment.
        window
            Distance from which on a key is out of sight.
        device
            Where the mask is made.
        """
        queries, keys = self.queries[segment], self.keys[segment] + self.shared[segment][1]
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
    """What the flash kernel takes of the segments; made once a batch, so that no layer waits for the GPU."""

    key_index: Tensor | None
    """Keys in the order of the segments, those of shared ones repeated; None where they lie so already."""
    query_starts: Tensor
    key_starts: Tensor
    longest_query: int
    longest_key: int

    @classmethod
    def from_segments(cls, segments: Segments, device: torch.device) -> _FlashArguments:
        starts = np.concatenate([[0], np.cumsum(segments.keys)])
        seen = [own + count for own, (_, count) in zip(segments.keys, segments.shared, strict=True)]
        index = None
        if any(count for _, count in segments.shared):
            pieces = [
                piece
                for segment, (other, count) in enumerate(segments.shared)
                for piece in (
                    np.arange(starts[other], starts[other] + count),
                    np.arange(*starts[segment : segment + 2]),
                )
            ]
            index = torch.from_numpy(np.concatenate(pieces)).to(device, non_blocking=True)
        return cls(
            key_index=index,
            query_starts=_starts_on_device(segments.queries, device),
            key_starts=_starts_on_device(seen, device),
            longest_query=max(segments.queries),
            longest_key=max(seen),
        )


def _starts_on_device(lengths: Sequence[int], device: torch.device) -> Tensor:
    """Return where each of some lengths starts when they lie one after another, and where the last one ends."""
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
    segments: Segments | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Attend within segments: the implementation `SEGMENT_ATTENTION` of transformers' attention interface.

    Parameters
    ----------
    query, key, value
        [1, heads, positions, width]; keys and values may have fewer heads.
    sliding_window
        Distance from which on a position is not seen.
    softcap
        Scores are softcap * tanh(score / softcap) (Gemma 2).
    segments
        Of the batch; transformers passes them on from the call of the backbone.

    Returns
    -------
    tuple
        [1, positions, heads, width], and None for the weights.

    Raises
    ------
    ValueError
        If the backbone did not pass the segments on: it cannot read texts without padding.
    """
    if segments is None:
        raise ValueError(f"{type(module).__name__} passed no segments to its attention")
    out = attend_segments(query[0], key[0], value[0], segments, dropout, scaling, sliding_window, softcap)
    return out.transpose(0, 1).unsqueeze(0).contiguous(), None


AttentionInterface.register(SEGMENT_ATTENTION, segment_attention)


def attend_segments(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    dropout: float = 0.0,
    scaling: float | None = None,
    window: int | None = None,
    softcap: float | None = None,
) -> Tensor:
    """Attend within segments; a segment without keys gives zeros.

    Parameters
    ----------
    query
        [heads, queries, width], segment after segment.
    key, value
        [heads or fewer, keys, width].
    segments
        Which keys each query sees.
    dropout, scaling, window, softcap
        As `segment_attention`.

    Returns
    -------
    [heads, queries, width]
    """
    half = query.dtype in (torch.bfloat16, torch.float16)
    if segments.flash is not None and half and takes_width(query.shape[-1]) and not dropout and softcap is None:
        return _attend_flash(query, key, value, segments, segments.flash, scaling, window)
    repeats_of_heads = query.shape[0] // key.shape[0]
    if repeats_of_heads > 1:
        key = key.repeat_interleave(repeats_of_heads, dim=0)
        value = value.repeat_interleave(repeats_of_heads, dim=0)
    shares = any(count for _, count in segments.shared)
    if softcap is None and pads_for_dropout(query.device.type, dropout, segments.causal, window, shares):
        return attend_padded(query, key, value, (segments.queries, segments.keys), dropout, scaling)
    # Split, not sliced: the backward pass of a slice fills a whole array for each segment.
    queries = query.split([segments.queries[first] * count for first, count in segments.equal_groups], 1)
    key_lengths = [segments.keys[first] * count for first, count in segments.equal_groups]
    keys, values = key.split(key_lengths, 1), value.split(key_lengths, 1)
    group_of = {first: group for group, (first, _) in enumerate(segments.equal_groups)}
    out = []
    for group, (first, size) in enumerate(segments.equal_groups):
        own_keys, own_values = keys[group], values[group]
        other, count = segments.shared[first]
        if count:
            own_keys = torch.cat([keys[group_of[other]][:, :count], own_keys], dim=1)
            own_values = torch.cat([values[group_of[other]][:, :count], own_values], dim=1)
        out.append(
            _attend_group(
                queries[group], own_keys, own_values, segments, first, size, dropout, scaling, window, softcap
            )
        )
    return out[0] if len(out) == 1 else torch.cat(out, dim=1)


def _attend_group(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    first: int,
    size: int,
    dropout: float,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Attend within `size` segments of equal lengths, of which `first` is the first, as a batch of that size."""
    if key.shape[1] == 0:
        return query * 0.0
    mask = segments.build_mask(first, window, query.device)
    causal = segments.causal and mask is None
    query, key, value = (states.unflatten(1, (size, -1)).transpose(0, 1) for states in (query, key, value))
    if softcap is None:
        read = scaled_dot_product_attention(query, key, value, mask, dropout, causal, scale=scaling)
    else:
        read = _attend_capped(query, key, value, mask, causal, dropout, scaling, softcap)
    return read.transpose(0, 1).flatten(1, 2)


def _attend_flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    flash: _FlashArguments,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """Attend within all segments at once on a GPU; a shared prompt's keys are repeated for whoever sees them."""
    from torch.nn.attention.varlen import varlen_attn  # not in every torch, see `has_varlen`

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
        window_size=(left, 0 if segments.causal else left),
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
    """Attend with capped scores, which torch's own attention does not have."""
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = softcap * torch.tanh(scores / softcap)
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return torch.dropout(weights.to(query.dtype), dropout, train=dropout > 0.0) @ value
