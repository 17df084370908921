"""Attention with dropout over texts of different lengths on a GPU, as one call.

torch's kernel for runs of any length has no dropout (torch 2.13), and an encoder such as BERT drops a tenth of its
attention weights when it trains. A call for each text would start thousands of small kernels a step. So the texts are
padded for this call alone: [texts, heads, longest, width], as transformers itself reads padded texts.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def pads_for_dropout(device: str, dropout: float, causal: bool, window: int | None, shares: bool) -> bool:
    """Tell whether attention over several texts is computed padded; elsewhere a call a text is as good or needed.

    Parameters
    ----------
    device
        Type of the device.
    dropout
        Of attention weights.
    causal, window, shares
        Whether a position sees only earlier ones, only near ones, or also those of another text. Then a text has a mask
        of its own shape.

    Examples
    --------
    >>> pads_for_dropout("cuda", 0.1, causal=False, window=None, shares=False)
    True
    """
    return device == "cuda" and dropout > 0.0 and not causal and window is None and not shares


def attend_padded(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: tuple[tuple[int, ...], tuple[int, ...]],
    dropout: float,
    scaling: float | None,
) -> Tensor:
    """Attend within texts, each position to all of its text; a text without keys gives zeros.

    Parameters
    ----------
    query
        [heads, queries, width], text after text.
    key, value
        [heads, keys, width].
    lengths
        Queries and keys of each text.
    dropout, scaling
        As torch's `scaled_dot_product_attention`.

    Returns
    -------
    [heads, queries, width]
    """
    texts = len(lengths[0])
    rows, key_rows = (_padded_rows(each, query.device) for each in lengths)
    queries = _pad(query, rows, texts, max(lengths[0]))
    keys, values = (_pad(each, key_rows, texts, max(lengths[1])) for each in (key, value))
    seen = _seen_keys(lengths[1], query.device)[:, None, None]
    read = scaled_dot_product_attention(queries, keys, values, seen, dropout, scale=scaling)
    return read.transpose(0, 1).flatten(1, 2).index_select(1, rows)


def _pad(states: Tensor, rows: Tensor, texts: int, longest: int) -> Tensor:
    """Return [heads, positions, width] as [texts, heads, longest, width], zeros where there is no position."""
    padded = states.new_zeros(states.shape[0], texts * longest, states.shape[2]).index_copy(1, rows, states)
    return padded.unflatten(1, (texts, longest)).transpose(0, 1)


@lru_cache(maxsize=8)
def _padded_rows(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Return where each position stands among padded ones; kept for the other layers of a batch."""
    longest = max(lengths)
    rows = [np.arange(length) + text * longest for text, length in enumerate(lengths)]
    return torch.from_numpy(np.concatenate(rows)).to(device, non_blocking=True)


@lru_cache(maxsize=4)
def _seen_keys(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Return which padded keys [texts, longest] are seen; kept as `_padded_rows`."""
    seen = np.arange(max(lengths)) < np.asarray(lengths)[:, None]
    # A text without keys sees one of zeros: a row of which nothing is seen would be no number.
    seen[:, :1] = True
    return torch.from_numpy(seen).to(device, non_blocking=True)
