"""Batches: from memory-mapped, flat arrays of one split to tensors in which texts lie one after another.

A split is flat, and so is a batch: the tokens of all its texts one after another, and their units of gaze likewise.
Nothing is padded at first. The fusion works on these rows and knows no layout; only then is each row given its
position:

    tokens        [N]      text 0 | text 1 | ...                input_ids, token_unit, token_share
    units         [M]      units of text 0 | of text 1 | ...    units, unit_number
        |
        |  fusion
        v
    fused rows    [N]      one for each token; or, where gaze has positions of its own (`gaze_tokens`),
           or [N + M + 2]  the N tokens, then the M units, then the opening and the closing boundary
        |
        |  source_rows: which fused row stands at each position
        v
    positions   [1, L]     packed or shared: all texts in one row; `segments` says which positions see which
           or   [S, L]     padded: a row for each text; `attention_mask` says which positions are real
        |
        |  backbone
        v
    states of the positions; `pool_index` says at which position the reward of each text is read

The layouts differ in the third step alone. As an example, a pair with the tokens `0 1 2 3 4` (chosen) and `5 6 7 8`
(rejected) of which the first three are the same (in truth fewer than 8 are not worth it), without gaze tokens:

    layout    tokens kept          position_ids         source_rows            pool_index
    packed    0 1 2 3 4 5 6 7 8    0 1 2 3 4 0 1 2 3    -                      4 8
    shared    0 1 2 3 4 8          0 1 2 3 4 3          -                      4 5
    padded    0 1 2 3 4 5 6 7 8    0 1 2 3 4            0 1 2 3 4              4 8
                                   0 1 2 3 0            5 6 7 8 padding
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazetune.reward.layout.attention import Segments
from gazetune.reward.layout.batch_layout import GAZE_BOUNDARIES, BatchLayout
from gazetune.reward.layout.positions import count_within, position_fields

ARRAYS = ("ids", "token_unit", "token_share", "token_starts", "unit_index", "unit_starts", "scores")
"""The fields of `EncodedSplit` that lie in files of their own, `SPLIT.FIELD.npy`."""

_WORTH_SHARING = 8
"""Tokens from which on a common beginning is computed once: a shorter one is cheaper twice than through a mask."""

_Movable = TypeVar("_Movable", bound=Tensor | Segments | None)


@dataclass(frozen=True)
class PairBatch:
    """b preference pairs as S = 2b texts: chosen and rejected of the first pair, of the second, and so on.

    N tokens and M units of gaze lie text after text. In the layout `shared`, the tokens that a rejected text has in
    common with its chosen one stand in the chosen one only.
    """

    input_ids: Tensor
    """[N] int64"""
    units: Tensor
    """[M, 5] float32 reading measures in their own units."""
    token_unit: Tensor
    """[N] int64 index into the units, -1 for none."""
    token_share: Tensor
    """[N] float32 share of the unit's measures that stands on the token."""
    unit_number: Tensor
    """[M] int64 number of the unit in its text."""
    last_unit_number: Tensor
    """[N] int64 number of the last unit of its text that a token up to this one belongs to, 0 before the first."""
    unit_segments: Segments
    """Tokens (queries) and units (keys) of each text."""
    source_rows: Tensor | None
    """[positions] int64 fused row that stands at a position. Below N a token, then the M units, the opening and the
    closing boundary where the fusion has gaze tokens; the number after the last of these is padding. None: the N
    tokens as they are."""
    position_ids: Tensor
    """[1, L] or, padded, [S, L] int64 positions within the text, counted from 0."""
    attention_mask: Tensor | None
    """[S, L] bool, true at real positions; None without padding."""
    segments: Segments | None
    """Which positions see which; None with padding."""
    scores: Tensor
    """[b] float32 score of the chosen less that of the rejected response, NaN where the source has none."""
    pool_index: Tensor
    """[S] int64 position, counted through the rows, whose state is rewarded: the chosen ones first, then the
    rejected."""

    def to(self, device: torch.device) -> PairBatch:
        """Move everything to `device`, without waiting for it."""
        return PairBatch(*(_move_to_device(getattr(self, field.name), device) for field in fields(self)))


def _move_to_device(value: _Movable, device: torch.device) -> _Movable:
    if isinstance(value, Tensor) and device.type == "cuda":
        return cast(_Movable, value.pin_memory().to(device, non_blocking=True))
    return value if value is None else cast(_Movable, value.to(device))


@dataclass(frozen=True)
class EncodedSplit:
    """n pairs of one split as 2n texts: pair i is text 2i (chosen) and text 2i + 1 (rejected).

    Tokens of text s stand at token_starts[s]:token_starts[s + 1] of the flat arrays, its units likewise. A split may be
    some of the pairs of these arrays alone (`chosen`).
    """

    ids: NDArray[np.int32]
    token_unit: NDArray[np.int32]
    """Index into the text's own units, -1 for none."""
    token_share: NDArray[np.float32]
    token_starts: NDArray[np.int64]
    unit_index: NDArray[np.int32]
    """Row of `values` that each unit of the text has its measures in."""
    unit_starts: NDArray[np.int64]
    scores: NDArray[np.float32]
    """[pairs] score of the chosen less that of the rejected response, NaN where the source has none."""
    values: NDArray[np.float32]
    """[N, 5] measures of all units of the data set, shared by its splits."""
    pad_token: int = 0
    """The id of the padding token, for layouts in which it is seen."""
    chosen: NDArray[np.int64] | None = None
    """[pairs] which pairs of the arrays the split has, in its order; None: all. Only `scores` has a row for each."""

    @classmethod
    def from_folder(cls, folder: Path, split: str, values: NDArray[np.float32], pad_token: int = 0) -> EncodedSplit:
        """Map the arrays of one split of a prepared data set into memory."""
        arrays = {name: np.load(folder / f"{split}.{name}.npy", mmap_mode="r") for name in ARRAYS}
        return cls(**arrays, values=values, pad_token=pad_token)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return (len(self.token_starts) - 1) // 2 if self.chosen is None else len(self.chosen)

    def pair_lengths(self, layout: BatchLayout) -> NDArray[np.int64]:
        """Return [pairs, 2], the positions of each chosen and rejected text when it is laid out by itself."""
        return self.text_lengths(layout).reshape(-1, 2)

    def text_lengths(self, layout: BatchLayout) -> NDArray[np.int64]:
        """Return the positions of each text when it is laid out by itself; there may be an odd number of texts."""
        lengths = np.diff(self.token_starts)
        if layout.gaze_tokens is not None:
            lengths = lengths + np.diff(self.unit_starts) + GAZE_BOUNDARIES
        return lengths if self.chosen is None else lengths.reshape(-1, 2)[self.chosen].reshape(-1)

    def shared_fraction(self, layout: BatchLayout, sample: int) -> float:
        """Return which share of all positions sharing saves, over so many pairs evenly spaced through the split."""
        pairs = np.unique(np.linspace(0, len(self) - 1, sample).astype(np.int64))
        return float(self._shared_tokens(pairs, layout).sum() / self.pair_lengths(layout)[pairs].sum())

    def batch_pairs(self, pairs: NDArray[np.int64], layout: BatchLayout) -> PairBatch:
        """Return the pairs with these indices, laid out."""
        stored = self._stored_pairs(pairs)
        texts = np.stack([2 * stored, 2 * stored + 1], axis=1).reshape(-1)
        skipped = np.zeros(len(texts), dtype=np.int64)
        if layout.kind == "shared":
            skipped[1::2] = self._shared_tokens(pairs, layout)
        batch = self._batch_texts(texts, skipped, self.scores[pairs], layout, groups=2)
        return replace(batch, pool_index=torch.cat([batch.pool_index[0::2], batch.pool_index[1::2]]))

    def batch_single_texts(self, texts: NDArray[np.int64], layout: BatchLayout) -> PairBatch:
        """Return texts with these indices that make no pairs: they share nothing, and rewards keep their order."""
        return self._batch_texts(texts, np.zeros_like(texts), np.zeros(0, dtype=np.float32), layout)

    def _batch_texts(
        self,
        texts: NDArray[np.int64],
        skipped: NDArray[np.int64],
        scores: NDArray[np.float32],
        layout: BatchLayout,
        groups: int = 1,
    ) -> PairBatch:
        """Lay out texts, each without the `skipped` first tokens that it takes from the text before it.

        Every one of `groups` neighbours is of another group (chosen, rejected), where a group is padded by itself.
        """
        tokens, token_rows = _expand_ranges(self.token_starts[texts] + skipped, self.token_starts[texts + 1])
        units, unit_rows = _expand_ranges(self.unit_starts[texts], self.unit_starts[texts + 1])
        # Units of a text count from 0 in the split; in the batch they lie behind those of the texts before it.
        first_unit = np.repeat(np.cumsum(units) - units, tokens)
        unit = self.token_unit[token_rows].astype(np.int64)
        unit = np.where(unit < 0, -1, unit + first_unit)
        batch = PairBatch(
            input_ids=torch.from_numpy(self.ids[token_rows].astype(np.int64)),
            units=torch.from_numpy(self.values[self.unit_index[unit_rows]]),
            token_unit=torch.from_numpy(unit),
            token_share=torch.from_numpy(self.token_share[token_rows]),
            unit_number=torch.from_numpy(count_within(units)),
            # The units of a later text have higher numbers, so one running maximum does for all.
            last_unit_number=torch.from_numpy(np.maximum.accumulate(np.maximum(unit, first_unit)) - first_unit),
            unit_segments=Segments(tuple(tokens.tolist()), tuple(units.tolist()), ((0, 0),) * len(texts), causal=False),
            scores=torch.from_numpy(scores),
            **position_fields(tokens, units, skipped, layout, groups),
        )
        return _append_token(batch, self.pad_token) if layout.pads_with_token else batch

    def _shared_tokens(self, pairs: NDArray[np.int64], layout: BatchLayout) -> NDArray[np.int64]:
        """Return [pairs], how many tokens the rejected text takes from the chosen one; 0 if not worth it."""
        stored = self._stored_pairs(pairs).tolist()
        found = np.array([self._common_tokens(pair, layout.sees_gaze) for pair in stored], dtype=np.int64)
        return np.where(found < _WORTH_SHARING, 0, found)

    def _stored_pairs(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the pairs of the split stand in the arrays."""
        return pairs if self.chosen is None else self.chosen[pairs]

    def _common_tokens(self, pair: int, sees_gaze: bool) -> int:
        """Return how many tokens both texts of a stored pair begin with, with the same measures where seen."""
        starts, stops = self.token_starts[2 * pair : 2 * pair + 2], self.token_starts[2 * pair + 1 : 2 * pair + 3]
        # Each text keeps at least one token of its own: its reward is read there.
        length = int((stops - starts).min()) - 1
        chosen, rejected = (slice(start, start + length) for start in starts.tolist())
        same = self.ids[chosen] == self.ids[rejected]
        if sees_gaze:
            same &= self.token_share[chosen] == self.token_share[rejected]
            same &= self._value_rows(2 * pair, chosen) == self._value_rows(2 * pair + 1, rejected)
        return length if same.all() else int(same.argmin())

    def _value_rows(self, text: int, tokens: slice) -> NDArray[np.int64]:
        """Return which row of `values` each token has its measures from, -1 for none."""
        unit = self.token_unit[tokens]
        # A text without units has no row to look up.
        own = np.append(self.unit_index[self.unit_starts[text] : self.unit_starts[text + 1]], -1)
        return np.where(unit < 0, -1, own[unit])


def _append_token(batch: PairBatch, token: int) -> PairBatch:
    """Return the batch with one more token behind those of the texts: a text of its own, without gaze."""
    segments = batch.unit_segments
    return replace(
        batch,
        input_ids=torch.cat([batch.input_ids, batch.input_ids.new_tensor([token])]),
        token_unit=torch.cat([batch.token_unit, batch.token_unit.new_tensor([-1])]),
        token_share=torch.cat([batch.token_share, batch.token_share.new_zeros(1)]),
        last_unit_number=torch.cat([batch.last_unit_number, batch.last_unit_number.new_zeros(1)]),
        unit_segments=Segments(
            (*segments.queries, 1), (*segments.keys, 0), (*segments.shared, (0, 0)), segments.causal
        ),
    )


def _expand_ranges(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lengths of ranges, and all their members one range after another."""
    lengths = stops - starts
    return lengths, np.repeat(starts, lengths) + count_within(lengths)


def split_rewards(rewards: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rewards [S] of a batch as those of the chosen and of the rejected texts, [b] each.

    Examples
    --------
    >>> chosen, rejected = split_rewards(torch.tensor([1.5, 0.5, -0.5, 0.0]))
    >>> chosen - rejected
    tensor([2.0000, 0.5000])
    """
    chosen, rejected = rewards.view(2, -1)
    return chosen, rejected
