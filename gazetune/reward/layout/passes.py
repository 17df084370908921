"""Which pairs each worker computes in each pass of an evaluation or of an optimiser step; chats to score too."""

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
        [n, 2] positions of the chosen and of the rejected text of each pair; or [n, 1] of single texts.
    budget
        The most positions of a share; a pair that alone has more is a share by itself.
    world
        How many workers there are.

    Returns
    -------
    For each pass, `world` arrays of pair indices. Each pair stands in one of them, and the same arguments give the same
    division. In the last pass the shares of the last workers may be empty; that of the first never is.

    Examples
    --------
    Three pairs of 60, 20 and 80 positions, at most 100 positions a share, one worker: two passes.

    >>> lengths = np.array([[30, 30], [10, 10], [40, 40]])
    >>> divide_passes(lengths, budget=100, world=1)
    [[array([2])], [array([0, 1])]]
    """
    order = np.argsort(-lengths.max(axis=1, initial=0), kind="stable")
    ends = np.cumsum(lengths.sum(axis=1)[order])
    shares = -(-len(_share_ends(ends, budget)) // world) * world
    # The smallest bound that still gives as few shares, found by halving.
    low, high = -(-int(ends[-1]) // shares) if shares else budget, budget
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_share_ends(ends, middle)) <= shares else (middle + 1, high)
    share_ends = _share_ends(ends, high)
    pairs = np.split(order, share_ends[:-1]) if share_ends else []
    pairs += [order[:0]] * (shares - len(pairs))
    return [pairs[first : first + world] for first in range(0, shares, world)]


def _share_ends(ends: NDArray[np.int64], bound: int) -> list[int]:
    """Return where shares end if each takes as many pairs as `bound` holds; `ends` [n] is the running sum of sizes."""
    found = [0]
    while found[-1] < len(ends):
        before = ends[found[-1] - 1] if found[-1] else 0
        found.append(max(found[-1] + 1, int(np.searchsorted(ends, before + bound, side="right"))))
    return found[1:]
