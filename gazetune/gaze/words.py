"""What gaze predictors and stores know of a text: its key and its words."""

from __future__ import annotations

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\S+")


def text_key(text: str) -> bytes:
    """Return the sha256 of the text's UTF-8 bytes, 32 raw bytes: the name of a text in stores and recordings.

    Lone surrogates, which JSON can carry, are encoded as they stand instead of failing.

    Examples
    --------
    >>> text_key("Why is the sky blue?").hex()[:16]
    '09ea26793343ba6c'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def word_spans(text: str) -> NDArray[np.int32]:
    """Return the words of a text, maximal runs of non-white-space, as character offsets (start, end), [words, 2].

    Examples
    --------
    >>> word_spans("the  cat sat.").tolist()
    [[0, 3], [5, 8], [9, 13]]
    """
    return np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int32).reshape(-1, 2)
