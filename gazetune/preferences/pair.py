"""The preference pair: what every source yields and every later room takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_MARGIN = float(np.finfo(np.float32).max)
"""Margins are kept as float32."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A prompt with a preferred and a less preferred assistant reply to it."""

    prompt: tuple[Message, ...]
    """The conversation up to the reply; its last message is the user's."""
    chosen: str
    rejected: str
    group: str
    """Pairs of one group (same prompt, or same conversation tree) never stand in two splits."""
    origin: str
    """`file:row` (rows counted from 1) or `planted:row`, for error lines."""
    margin: float | None = None
    """Score of the chosen less that of the rejected reply where the source has scores; finite and not negative."""

    def chat_with(self, reply: str) -> tuple[Message, ...]:
        """Return the prompt followed by `reply` as the assistant's message.

        Examples
        --------
        >>> pair = PreferencePair((Message("user", "Why?"),), chosen="So.", rejected="No.", group="", origin="a:1")
        >>> [message.content for message in pair.chat_with(pair.rejected)]
        ['Why?', 'No.']
        """
        return (*self.prompt, Message("assistant", reply))


def item_key(pair: PreferencePair) -> str:
    """Return the sha256 hex of a pair's prompt, chosen and rejected reply: the same pair has it in every data set.

    Examples
    --------
    >>> pair = PreferencePair((Message("user", "Why?"),), chosen="So.", rejected="No.", group="a", origin="a:1")
    >>> other = PreferencePair((Message("user", "Why?"),), chosen="So.", rejected="No.", group="b", origin="b:7")
    >>> item_key(pair) == item_key(other)
    True
    """
    prompt = [[message.role, message.content] for message in pair.prompt]
    return hashlib.sha256(json.dumps([prompt, pair.chosen, pair.rejected]).encode()).hexdigest()


def collect_margins(pairs: Iterable[PreferencePair]) -> NDArray[np.float32]:
    """Return the margin [n] of each pair in the scores of its source; NaN where the source has none."""
    return np.array([np.nan if pair.margin is None else pair.margin for pair in pairs], dtype=np.float32)
