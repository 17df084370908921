"""The baseline that knows nothing but length: prefer the shorter reply."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shorter_baseline(words: NDArray[np.int32]) -> NDArray[np.float64]:
    """Score "prefer the reply with fewer words" on each pair.

    Parameters
    ----------
    words
        [n, 2] words (what white space separates) of the chosen and of the rejected reply.

    Returns
    -------
    [n] of 1 (the chosen reply is shorter), 0 (it is longer), one half (as many words).

    Examples
    --------
    >>> shorter_baseline(np.array([[3, 9], [9, 3], [5, 5]]))
    array([1. , 0. , 0.5])
    """
    surplus = words[:, 1].astype(np.float64) - words[:, 0]
    return (np.sign(surplus) + 1.0) / 2.0
