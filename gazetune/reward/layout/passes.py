"""Which pairs each worker reads in each pass of an evaluation or of an optimiser step; chats to score too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def divide_passes(lengths: NDArray[np.int64], budget: int, world: int) -> list[list[NDArray[np.int64]]]:
    """Divide pairs into passes of similar lengths, a share for each worker.

    The longest pairs come first, so that a budget that does not fit into memory fails at once. Among the divisions with
    the fewest passes this one has the smallest largest share: no worker waits long for another.

    Parameters
    ----------
    lengths
        [n, 2] positions of the chosen and of the rejected sequence of each pair; or [n, 1] of single sequences.
    budget
        The most positions of a share; a pair that alone has more is a share by itself.
    world
        How many workers there are.

    Returns
    -------
    For each pass, `world` arrays of pair indices. Each pair stands in one of them, and the same arguments give the same
    division. In the last pass the shares of the last workers may be empty; that of the first never is.
    """
    order = np.argsort(-lengths.max(axis=1, initial=0), kind="stable")
    ends = np.cumsum(lengths.sum(axis=1)[order])
    shares = -(-len(_cuts(ends, budget)) // world) * world
    low, high = -(-int(ends[-1]) // shares) if shares else budget, budget
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_cuts(ends, middle)) <= shares else (middle + 1, high)
    cuts = _cuts(ends, high)
    pairs = np.split(order, cuts[:-1]) if cuts else []
    pairs += [order[:0]] * (shares - len(pairs))
    return [pairs[first : first + world] for first in range(0, shares, world)]


def _cuts(ends: NDArray[np.int64], bound: int) -> list[int]:
    """Return where shares end if each takes as many pairs as `bound` holds; `ends` [n] is the running sum of sizes."""
    cuts = [0]
    while cuts[-1] < len(ends):
        before = ends[cuts[-1] - 1] if cuts[-1] else 0
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(ends, before + bound, side="right"))))
    return cuts[1:]
