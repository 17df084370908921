"""What the networks of gaze predictors are given: texts that tokenizers take, sequences in batches, on one device."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gazetune.devices import may_use_gpus

if TYPE_CHECKING:
    import torch

_BATCH_TOKENS = 16384  # of one forward pass, padding included: bounds the memory whatever the number of texts


def pick_device() -> torch.device:
    """Return the GPU when there is one that this process may use, else the CPU."""
    import torch

    return torch.device("cuda" if may_use_gpus() and torch.cuda.is_available() else "cpu")


def replace_surrogates(text: str) -> str:
    """Return the text with lone surrogates, which no tokenizer takes, replaced one for one: offsets stay."""
    return re.sub(r"[\ud800-\udfff]", "\ufffd", text)


def batch_by_length(lengths: Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of sequences that are computed together: similar lengths, the longest first.

    Parameters
    ----------
    lengths
        Tokens of each sequence; sequences of no token are in no batch.

    Examples
    --------
    >>> [batch.tolist() for batch in batch_by_length([3, 0, 9000, 8000])]
    [[2], [3, 0]]
    """
    counts = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    start = 0
    while start < len(order):
        stop = start + max(1, _BATCH_TOKENS // int(counts[order[start]]))
        yield order[start:stop]
        start = stop


def pad_token_ids(sequences: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """Return token ids [B, T] of sequences of different lengths, `fill` behind the shorter ones.

    Examples
    --------
    >>> pad_token_ids([[7, 8, 9], [5]], fill=0).tolist()
    [[7, 8, 9], [5, 0, 0]]
    """
    import torch

    longest = max(len(sequence) for sequence in sequences)
    return torch.tensor([[*sequence, *[fill] * (longest - len(sequence))] for sequence in sequences])
