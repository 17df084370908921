"""What stands at which position of a batch, and what it sees: the tokens, units and boundaries of texts, laid out.

The rows that a position takes are those of the fusion: the tokens of all texts, then their units of gaze, then an
opening and a closing boundary. `gazetune.reward.layout.batching` says how the layouts differ.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazetune.reward.layout.attention import Segments
from gazetune.reward.layout.batch_layout import GAZE_BOUNDARIES, BatchLayout


class PositionFields(TypedDict):
    """The fields of `PairBatch` that say what stands at which position and what it sees."""

    source_rows: Tensor | None
    position_ids: Tensor
    attention_mask: Tensor | None
    segments: Segments | None
    pool_index: Tensor


def position_fields(
    tokens: NDArray[np.int64],
    units: NDArray[np.int64],
    skipped: NDArray[np.int64],
    layout: BatchLayout,
    groups: int,
) -> PositionFields:
    """Return what stands at which position and what it sees, given the tokens, units and skipped tokens of S texts."""
    if layout.pads_with_token:
        return _fields_with_pad_token(tokens, units, layout, groups)
    if layout.gaze_tokens is None:
        lengths, source_rows, fused_rows = tokens, None, int(tokens.sum())
    else:
        lengths = tokens + units + GAZE_BOUNDARIES
        source_rows = _rows_with_gaze_tokens(tokens, units, layout.gaze_tokens == "before")
        fused_rows = int((tokens + units).sum()) + GAZE_BOUNDARIES
    position_ids = count_within(lengths) + np.repeat(skipped, lengths)
    if layout.kind == "padded":
        order = np.arange(fused_rows) if source_rows is None else source_rows
        return _padded_fields(lengths, order, position_ids, fused_rows, layout)
    first = np.cumsum(lengths) - lengths
    pool_index = first + lengths - 1 if layout.causal else first
    shared = [(text - 1, count) if count else (0, 0) for text, count in enumerate(skipped.tolist())]
    return {
        "source_rows": None if source_rows is None else torch.from_numpy(source_rows),
        "position_ids": torch.from_numpy(position_ids[None]),
        "attention_mask": None,
        "segments": Segments.from_lengths(lengths.tolist(), shared, layout.causal),
        "pool_index": torch.from_numpy(pool_index),
    }


def _padded_fields(
    lengths: NDArray[np.int64],
    source_rows: NDArray[np.int64],
    position_ids: NDArray[np.int64],
    fused_rows: int,
    layout: BatchLayout,
) -> PositionFields:
    """Return the fields of S texts [positions] in rows of their own [S, L]; padding is the row after the fused ones."""
    mask = np.arange(int(lengths.max())) < lengths[:, None]
    row_starts = np.arange(len(lengths)) * mask.shape[1]
    padded_ids = _pad_rows(position_ids, mask, 0)
    pool_index = row_starts + (lengths - 1 if layout.causal else 0)
    if layout.pools_padding:
        padded_ids = np.tile(np.arange(mask.shape[1]), (len(lengths), 1))
        pool_index = row_starts + mask.shape[1] - 1
    return {
        "source_rows": torch.from_numpy(_pad_rows(source_rows, mask, fused_rows).reshape(-1)),
        "position_ids": torch.from_numpy(padded_ids),
        "attention_mask": torch.from_numpy(mask),
        "segments": None,
        "pool_index": torch.from_numpy(pool_index),
    }


def _fields_with_pad_token(
    tokens: NDArray[np.int64], units: NDArray[np.int64], layout: BatchLayout, groups: int
) -> PositionFields:
    """Return the fields of S texts in rows of their own [S, L], padded with the token after those of all texts.

    Each of the `groups` (chosen, rejected) is padded by itself, as in two forward passes: a row of the shorter one goes
    on behind the place at which its reward is read, and no earlier position sees that. Gaze tokens are padded to the
    most of their group, so that what stands behind them has the same positions in each row:

        < u u > t t t        < u . > t t .
    """
    padding, boundaries = int(tokens.sum()), int((tokens + units).sum()) + 1  # fused rows
    first_token, first_unit = np.cumsum(tokens) - tokens, np.cumsum(units) - units
    rows: list[NDArray[np.int64]] = []
    pool: list[int] = []
    for text, (count, gaze) in enumerate(zip(tokens.tolist(), units.tolist(), strict=True)):
        group = slice(text % groups, None, groups)
        room, gaze_room = int(tokens[group].max()), int(units[group].max())
        own_text = np.full(room, padding)
        own_text[:count] = first_token[text] + np.arange(count)
        parts = [own_text]
        if layout.gaze_tokens is not None:
            own_gaze = np.full(gaze_room, padding)
            own_gaze[:gaze] = padding + 1 + first_unit[text] + np.arange(gaze)
            surrounded = np.concatenate([[boundaries], own_gaze, [boundaries + 1]])
            parts = [surrounded, own_text] if layout.gaze_tokens == "before" else [own_text, surrounded]
        rows.append(np.concatenate(parts))
        last_real = int(np.flatnonzero(rows[-1] != padding)[-1])
        pool.append(len(rows[-1]) - 1 if layout.pools_padding else last_real)
    length = max(map(len, rows))
    source = np.stack([np.pad(row, (0, length - len(row)), constant_values=padding) for row in rows])
    return {
        "source_rows": torch.from_numpy(source.reshape(-1)),
        "position_ids": torch.arange(length).repeat(len(rows), 1),
        "attention_mask": torch.from_numpy(source != padding),
        "segments": None,
        "pool_index": torch.tensor(pool) + torch.arange(len(rows)) * length,
    }


def _rows_with_gaze_tokens(tokens: NDArray[np.int64], units: NDArray[np.int64], before: bool) -> NDArray[np.int64]:
    """Return the fused row at each position when gaze tokens stand before or after each text.

    For two tokens `t` and two units `u` of one text the positions are `< u u > t t` or `t t < u u >`.
    """
    lengths = tokens + units + GAZE_BOUNDARIES
    within = count_within(lengths)
    nothing = np.zeros_like(tokens)
    gaze_starts, text_starts = (nothing, units + GAZE_BOUNDARIES) if before else (tokens, nothing)
    gaze_start, text_start, unit_count = (np.repeat(each, lengths) for each in (gaze_starts, text_starts, units))
    first_token, first_unit = (np.repeat(np.cumsum(each) - each, lengths) for each in (tokens, units))
    # Counted from where a text's gaze begins: 0 is the opening boundary, then come the units, then the closing one.
    in_gaze = within - gaze_start
    all_tokens, all_units = int(tokens.sum()), int(units.sum())
    gaze_rows = np.where(in_gaze == 0, all_tokens + all_units, all_tokens + first_unit + in_gaze - 1)
    gaze_rows = np.where(in_gaze == unit_count + 1, all_tokens + all_units + 1, gaze_rows)
    is_gaze = (in_gaze >= 0) & (in_gaze < unit_count + GAZE_BOUNDARIES)
    return np.where(is_gaze, gaze_rows, first_token + within - text_start)


def _pad_rows(flat: NDArray[np.int64], mask: NDArray[np.bool_], fill: int) -> NDArray[np.int64]:
    """Return the flat values where the mask [S, L] is true, row after row, and `fill` elsewhere."""
    padded = np.full(mask.shape, fill, dtype=np.int64)
    padded[mask] = flat
    return padded


def count_within(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, ... for each length, one after another."""
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
