"""Which unit of gaze each token of a backbone's tokenizer belongs to, by character offsets.

    text      The eyes rest
    units    |The|eyes|rest|            words of a gaze predictor, with their measures
    tokens   |The| ey|es| rest|         tokens of the backbone
    unit       0   1  1   2
    share      1  1/2 1/2 1             with the policy `spread`; with `first`: 1 1 0 1

Where a token lies over two units it can only belong to one of them. First every token takes the unit that it overlaps
most. A unit may then be left without any token although a token overlaps it. For such a unit, tokens are moved along
the shortest chain that ends at a unit with a token to spare (an augmenting path, as in bipartite matching).
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray


def align_units(
    token_spans: NDArray[np.integer], unit_spans: NDArray[np.integer], policy: Literal["spread", "first"]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Give each token the unit that it overlaps most, and its share of that unit's values.

    A token that overlaps two units equally goes to the first. If that leaves a unit without any token although tokens
    overlap it, as few tokens as possible are moved so that the unit gets one. The sum over tokens of share times value
    is then the sum over units. Two kinds of units stay without a token: those that no token overlaps (truncated text),
    and those with fewer tokens than units around them (one token over two words). Several tokens with the same span
    (the bytes of an emoji) all belong to the unit. The cost is linear in tokens plus overlaps.

    Parameters
    ----------
    token_spans
        [T, 2] character offsets of the tokens in any order. A token of no length (special, padding) gets no unit.
    unit_spans
        [U, 2] character offsets of the units; neither starts nor ends may decrease.
    policy
        `spread`: a unit's values are divided evenly over its tokens. `first`: they stand on its first token, and its
        other tokens get no unit.

    Returns
    -------
    token_unit
        [T] int32, index of the unit or -1.
    token_share
        [T] float32, in 0..1; 0 where there is no unit. Shares sum to one over the tokens of a unit.

    Raises
    ------
    ValueError
        If the units are not in order, or the policy is unknown.

    Examples
    --------
    >>> tokens, words = np.array([[0, 3], [3, 6], [6, 8], [8, 13]]), np.array([[0, 3], [4, 8], [9, 13]])
    >>> unit, share = align_units(tokens, words, "spread")  # The| ey|es| rest
    >>> unit.tolist(), share.tolist()
    ([0, 1, 1, 2], [1.0, 0.5, 0.5, 1.0])
    """
    if policy not in ("spread", "first"):
        raise ValueError(f"policy must be 'spread' or 'first', got {policy!r}")
    tokens = np.asarray(token_spans, dtype=np.int64).reshape(-1, 2)
    units = np.asarray(unit_spans, dtype=np.int64).reshape(-1, 2)
    if (np.diff(units, axis=0) < 0).any():
        raise ValueError("unit spans must be in the order of the text")
    pair_token, pair_unit, overlap = _find_overlaps(tokens, units)
    token_unit = np.full(len(tokens), -1, dtype=np.int32)
    # Sorted by token, then by falling overlap, then by unit: the first pair of each token is its best.
    order = np.lexsort((pair_unit, -overlap, pair_token))
    having, best = np.unique(pair_token[order], return_index=True)
    token_unit[having] = pair_unit[order][best]
    _serve_left_out_units(token_unit, pair_token, pair_unit, len(units))

    owned = np.flatnonzero(token_unit >= 0)
    share = np.zeros(len(tokens), dtype=np.float32)
    if policy == "spread":
        share[owned] = 1.0 / np.bincount(token_unit[owned], minlength=len(units))[token_unit[owned]]
        return token_unit, share
    _, first = np.unique(token_unit[owned], return_index=True)
    only_first = np.full_like(token_unit, -1)
    only_first[owned[first]] = token_unit[owned[first]]
    share[owned[first]] = 1.0
    return only_first, share


def _find_overlaps(
    tokens: NDArray[np.int64], units: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the token, the unit and the characters of overlap of every pair that overlaps, three times [pairs]."""
    low = np.searchsorted(units[:, 1], tokens[:, 0], side="right")
    high = np.searchsorted(units[:, 0], tokens[:, 1], side="left")
    counts = np.where(tokens[:, 1] > tokens[:, 0], np.maximum(high - low, 0), 0)
    pair_token = np.repeat(np.arange(len(tokens)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    pair_unit = low[pair_token] + within
    overlap = np.minimum(tokens[pair_token, 1], units[pair_unit, 1]) - np.maximum(
        tokens[pair_token, 0], units[pair_unit, 0]
    )
    real = overlap > 0
    return pair_token[real], pair_unit[real], overlap[real]


def _serve_left_out_units(
    token_unit: NDArray[np.int32], pair_token: NDArray[np.int64], pair_unit: NDArray[np.int64], units: int
) -> None:
    """Move tokens in place so that as many overlapped units as possible have one. Most texts need no move."""
    counts = np.bincount(token_unit[token_unit >= 0], minlength=units)
    left_out = np.setdiff1d(pair_unit, np.flatnonzero(counts))
    if not len(left_out):
        return
    by_unit = np.argsort(pair_unit, kind="stable")
    edges = np.searchsorted(pair_unit[by_unit], np.arange(units + 1))
    for unit in left_out.tolist():
        _move_one_token(token_unit, counts, pair_token[by_unit], edges, unit)


def _move_one_token(
    token_unit: NDArray[np.int32],
    counts: NDArray[np.int64],
    tokens: NDArray[np.int64],
    edges: NDArray[np.int64],
    unit: int,
) -> None:
    """Find the shortest chain of moves that ends at a unit with a token to spare, and make them (augmenting path).

    The search is breadth first, from the `unit` without a token to the owners of the tokens that overlap it, to the
    owners of the tokens that overlap those, and so on. The tokens that overlap unit u are
    tokens[edges[u]:edges[u + 1]]. Changes `token_unit` and `counts` in place.
    """
    taker: dict[int, int] = {}  # token -> the unit that would take it
    given: dict[int, int] = {}  # unit -> the token that it would give away
    waiting = deque([unit])
    while waiting:
        taking = waiting.popleft()
        for token in tokens[edges[taking] : edges[taking + 1]].tolist():
            if token in taker:
                continue
            taker[token] = taking
            owner = int(token_unit[token])
            if counts[owner] > 1:
                counts[owner] -= 1
                counts[unit] = 1
                while token is not None:
                    token_unit[token] = taker[token]
                    token = given.get(taker[token])
                return
            if owner not in given and owner != unit:
                given[owner] = token
                waiting.append(owner)
