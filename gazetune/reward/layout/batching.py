"""Batches: from memory-mapped, flat arrays of one split to tensors in which texts lie one after another."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazetune.reward.layout.attention import Runs
from gazetune.reward.layout.layouts import Reading

ARRAYS = ("ids", "token_unit", "token_share", "token_starts", "unit_index", "unit_starts", "scores")
_WORTH_SHARING = 8
"""Tokens from which on a common beginning is computed once: a shorter one is cheaper twice than through a mask."""


@dataclass(frozen=True)
class PairBatch:
    """b preference pairs as S = 2b sequences: chosen and rejected of the first pair, of the second, and so on.

    N tokens and M gaze units lie sequence after sequence. With `Reading.way` shared, the tokens that a rejected
    sequence has in common with its chosen one stand there only.
    """

    input_ids: Tensor
    """[N] int64"""
    units: Tensor
    """[M, 5] float32 reading measures in their own units."""
    token_unit: Tensor
    """[N] int64 index into the units, -1 for none."""
    token_share: Tensor
    """[N] float32"""
    unit_place: Tensor
    """[M] int64 number of the unit in its sequence."""
    token_place: Tensor
    """[N] int64 number of the last unit of its sequence that a token up to this one belongs to, 0 before the first."""
    text_and_gaze: Runs
    """Tokens (queries) and units (keys) of each sequence."""
    order: Tensor | None
    """[positions] int64: what stands at a position. Below N a token, then the M units, the opening and the closing
    boundary where the fusion has gaze tokens; the number after the last of these is padding. None: the N tokens."""
    positions: Tensor
    """[1, L] or, padded, [S, L] int64 places within the text, counted from 0."""
    mask: Tensor | None
    """[S, L] bool, true at real positions; None without padding."""
    runs: Runs | None
    """Which positions see which, without padding."""
    scores: Tensor
    """[b] float32 score of the chosen less that of the rejected response, NaN where the source has none."""
    pool: Tensor
    """[S] int64 position, counted through the rows, whose state is rewarded: the chosen ones first, then the
    rejected."""

    def to(self, device: torch.device) -> PairBatch:
        """Move everything to `device`, without waiting for it."""
        return PairBatch(*(_moved(getattr(self, field.name), device) for field in fields(self)))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor) and device.type == "cuda":
        return value.pin_memory().to(device, non_blocking=True)
    return value if value is None else value.to(device)


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
    scores: NDArray[np.float32]
    """[pairs] score of the chosen less that of the rejected response, NaN where the source has none."""
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

    def lengths(self, reading: Reading) -> NDArray[np.int64]:
        """Return [pairs, 2], the positions of each chosen and rejected sequence when it is read by itself."""
        return self.sequence_lengths(reading).reshape(-1, 2)

    def sequence_lengths(self, reading: Reading) -> NDArray[np.int64]:
        """Return the positions of each sequence when it is read by itself; there may be an odd number of them."""
        tokens = np.diff(self.token_starts)
        return tokens if reading.gaze_tokens is None else tokens + np.diff(self.unit_starts) + 2

    def shared_fraction(self, reading: Reading, sample: int) -> float:
        """Return which share of all positions sharing saves, over so many pairs evenly spaced through the split."""
        pairs = np.unique(np.linspace(0, len(self) - 1, sample).astype(np.int64))
        return float(self._prefixes(pairs, reading).sum() / self.lengths(reading)[pairs].sum())

    def batch(self, pairs: NDArray[np.int64], reading: Reading) -> PairBatch:
        """Return the pairs with these indices, laid out for `reading`."""
        rows = np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1)
        skipped = np.zeros(len(rows), dtype=np.int64)
        if reading.way == "shared":
            skipped[1::2] = self._prefixes(pairs, reading)
        batch = self._batch(rows, skipped, self.scores[pairs], reading)
        return replace(batch, pool=torch.cat([batch.pool[0::2], batch.pool[1::2]]))

    def batch_of_sequences(self, rows: NDArray[np.int64], reading: Reading) -> PairBatch:
        """Return sequences with these indices that make no pairs: they share nothing, and rewards keep their order."""
        return self._batch(rows, np.zeros_like(rows), np.zeros(0, dtype=np.float32), reading)

    def _batch(
        self, rows: NDArray[np.int64], skipped: NDArray[np.int64], scores: NDArray[np.float32], reading: Reading
    ) -> PairBatch:
        """Lay out sequences, each without the tokens it takes from the one before it; rewards keep their order."""
        tokens, token_at = _ranges(self.token_starts[rows] + skipped, self.token_starts[rows + 1])
        units, unit_at = _ranges(self.unit_starts[rows], self.unit_starts[rows + 1])
        first_unit = np.repeat(np.cumsum(units) - units, tokens)
        unit = self.token_unit[token_at].astype(np.int64)
        unit = np.where(unit < 0, -1, unit + first_unit)
        layout = _lay_out(tokens, units, skipped, reading)
        return PairBatch(
            input_ids=torch.from_numpy(self.ids[token_at].astype(np.int64)),
            units=torch.from_numpy(self.values[self.unit_index[unit_at]]),
            token_unit=torch.from_numpy(unit),
            token_share=torch.from_numpy(self.token_share[token_at]),
            unit_place=torch.from_numpy(_within(units)),
            # The units of a later sequence have higher numbers, so one running maximum does for all.
            token_place=torch.from_numpy(np.maximum.accumulate(np.maximum(unit, first_unit)) - first_unit),
            scores=torch.from_numpy(scores),
            text_and_gaze=Runs(tuple(tokens.tolist()), tuple(units.tolist()), ((0, 0),) * len(rows), causal=False),
            **layout,
        )

    def _prefixes(self, pairs: NDArray[np.int64], reading: Reading) -> NDArray[np.int64]:
        """Return [pairs], how many tokens the rejected sequence takes from the chosen one; 0 if not worth it."""
        found = np.array([self._prefix(pair, reading.sees_gaze) for pair in pairs.tolist()], dtype=np.int64)
        return np.where(found < _WORTH_SHARING, 0, found)

    def _prefix(self, pair: int, sees_gaze: bool) -> int:
        starts, stops = self.token_starts[2 * pair : 2 * pair + 2], self.token_starts[2 * pair + 1 : 2 * pair + 3]
        # One token at least stays each one's own: its reward is read there.
        length = int((stops - starts).min()) - 1
        chosen, rejected = (slice(start, start + length) for start in starts.tolist())
        same = self.ids[chosen] == self.ids[rejected]
        if sees_gaze:
            same &= self.token_share[chosen] == self.token_share[rejected]
            same &= self._value_rows(2 * pair, chosen) == self._value_rows(2 * pair + 1, rejected)
        return length if same.all() else int(same.argmin())

    def _value_rows(self, sequence: int, tokens: slice) -> NDArray[np.int64]:
        """Return which row of `values` each token has its measures from, -1 for none."""
        unit = self.token_unit[tokens]
        # A sequence without units has no row to look up.
        own = np.append(self.unit_index[self.unit_starts[sequence] : self.unit_starts[sequence + 1]], -1)
        return np.where(unit < 0, -1, own[unit])


def _ranges(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lengths of ranges, and all their members one range after another."""
    lengths = stops - starts
    return lengths, np.repeat(starts, lengths) + _within(lengths)


def _within(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, ... for each length, one after another."""
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _lay_out(
    tokens: NDArray[np.int64], units: NDArray[np.int64], skipped: NDArray[np.int64], reading: Reading
) -> dict[str, Any]:
    """Return the fields of `PairBatch` that say what stands where and sees what, given each sequence's sizes [S]."""
    lengths = tokens if reading.gaze_tokens is None else tokens + units + 2
    order = None if reading.gaze_tokens is None else _with_gaze_tokens(tokens, units, reading.gaze_tokens == "before")
    positions = _within(lengths) + np.repeat(skipped, lengths)
    first = np.cumsum(lengths) - lengths
    pool = first + lengths - 1 if reading.causal else first
    mask = None
    if reading.way == "padded":
        mask = np.arange(int(lengths.max())) < lengths[:, None]
        rows = int(tokens.sum()) if order is None else int((tokens + units).sum()) + 2
        order = _padded(np.arange(rows) if order is None else order, mask, rows).reshape(-1)
        positions = _padded(positions, mask, 0)
        pool = np.arange(len(lengths)) * mask.shape[1] + (lengths - 1 if reading.causal else 0)
        if reading.pools_padding:
            positions = np.tile(np.arange(mask.shape[1]), (len(lengths), 1))
            pool = positions[:, -1] + np.arange(len(lengths)) * mask.shape[1]
    shared = [(sequence - 1, count) if count else (0, 0) for sequence, count in enumerate(skipped.tolist())]
    return {
        "order": None if order is None else torch.from_numpy(order),
        "positions": torch.from_numpy(positions.reshape(-1, positions.shape[-1])),
        "mask": None if mask is None else torch.from_numpy(mask),
        "runs": None if mask is not None else Runs.of(lengths.tolist(), shared, reading.causal),
        "pool": torch.from_numpy(pool),
    }


def _with_gaze_tokens(tokens: NDArray[np.int64], units: NDArray[np.int64], before: bool) -> NDArray[np.int64]:
    """Return what stands at each position (see `PairBatch.order`) when gaze tokens stand before or after each text."""
    lengths = tokens + units + 2
    within = _within(lengths)
    # Within a sequence: where its gaze tokens begin, where its text begins, and how many units it has.
    gaze, text, count = (
        np.repeat(each, lengths) for each in ((0 * tokens, units + 2, units) if before else (tokens, 0 * tokens, units))
    )
    first_token, first_unit = (np.repeat(np.cumsum(each) - each, lengths) for each in (tokens, units))
    eye = within - gaze
    all_tokens, all_units = int(tokens.sum()), int(units.sum())
    on_gaze = np.where(eye == 0, all_tokens + all_units, all_tokens + first_unit + eye - 1)
    on_gaze = np.where(eye == count + 1, all_tokens + all_units + 1, on_gaze)
    return np.where((eye >= 0) & (eye < count + 2), on_gaze, first_token + within - text)


def _padded(flat: NDArray[np.int64], mask: NDArray[np.bool_], fill: int) -> NDArray[np.int64]:
    out = np.full(mask.shape, fill, dtype=np.int64)
    out[mask] = flat
    return out


def reward_pairs(rewards: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rewards [S] of a batch as those of the chosen and of the rejected sequences, [b] each."""
    chosen, rejected = rewards.view(2, -1)
    return chosen, rejected
