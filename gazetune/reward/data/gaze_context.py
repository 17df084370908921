"""What a gaze predictor reads as one text: each message by itself, or a whole conversation (`gaze.context`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BETWEEN_MESSAGES = "\n\n"
"""Stands between the messages of a chat. White space, so that no word reaches from one message into the next."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A message within the text that the predictor reads."""

    text: str
    start: int
    """Where the message begins, in characters."""
    end: int

    def select_units(self, spans: NDArray[np.int32]) -> tuple[slice, NDArray[np.int32]]:
        """Return which of the text's units lie in the message, and their spans in characters of the message.

        Parameters
        ----------
        spans
            [units, 2] characters of the whole text; neither starts nor ends decrease.
        """
        first = int(np.searchsorted(spans[:, 1], self.start, side="right"))
        last = int(np.searchsorted(spans[:, 0], self.end, side="left"))
        inside = slice(first, max(first, last))
        # A unit may take in the white space before a word, which is not the message's.
        return inside, np.clip(spans[inside] - self.start, 0, self.end - self.start)


def find_passages(contents: Sequence[str], context: Literal["message", "chat"]) -> list[Passage]:
    r"""Return where the predictor reads each message of a conversation.

    With `chat` all messages are one text, as in GazeReward (Lopez-Cardona et al., ICLR 2025, arXiv 2410.01532): gaze on
    the prompt depends on the reply. What the chat template writes between messages is not read.

    Examples
    --------
    >>> find_passages(["Why?", "Because."], "chat")[1]
    Passage(text='Why?\n\nBecause.', start=6, end=14)
    >>> find_passages(["Why?", "Because."], "message")[1]
    Passage(text='Because.', start=0, end=8)
    """
    if context == "message":
        return [Passage(content, 0, len(content)) for content in contents]
    text = BETWEEN_MESSAGES.join(contents)
    found, start = [], 0
    for content in contents:
        found.append(Passage(text, start, start + len(content)))
        start += len(content) + len(BETWEEN_MESSAGES)
    return found
