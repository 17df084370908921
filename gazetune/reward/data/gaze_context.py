"""What a gaze predictor reads as one text: each message by itself, or a whole conversation (`gaze.context`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BETWEEN_MESSAGES = "\n\n"
"""Stands between the messages of a chat. White space, so that no word reaches from one message into the next."""
BETWEEN_REFERENCE_MESSAGES = "\n"
"""What the reference leaves of the template between two messages, whose own outer white space is stripped."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A message within the text that the predictor reads."""

    text: str
    start: int
    """Where the message begins, in characters."""
    end: int
    stripped: int = field(default=0, repr=False)
    """Characters of the message that were stripped off before it."""
    reach: tuple[int, int] | None = field(default=None, repr=False)
    """First and last characters (the last one not included) whose units belong to the message, where all units of the
    text belong to some message; None where those outside of messages belong to none."""

    def select_units(self, spans: NDArray[np.int32]) -> tuple[slice, NDArray[np.int32]]:
        """Return which of the text's units lie in the message, and their spans in characters of the message.

        Parameters
        ----------
        spans
            [units, 2] characters of the whole text; neither starts nor ends decrease.
        """
        if self.reach is not None:
            first, last = (int(each) for each in np.searchsorted(spans[:, 0], self.reach, side="left"))
        else:
            first = int(np.searchsorted(spans[:, 1], self.start, side="right"))
            last = int(np.searchsorted(spans[:, 0], self.end, side="left"))
        inside = slice(first, max(first, last))
        # A unit may take in the white space before a word, which is not the message's.
        return inside, np.clip(spans[inside] - self.start, 0, self.end - self.start) + self.stripped


def find_passages(
    contents: Sequence[str], context: Literal["message", "chat"], as_reference: bool = False
) -> list[Passage]:
    r"""Return where the predictor reads each message of a conversation.

    With `chat` all messages are one text, as in GazeReward (Lopez-Cardona et al., ICLR 2025, arXiv 2410.01532): gaze on
    the prompt depends on the reply. What the chat template writes between messages is not read. As the reference has it
    (`gaze.predictor_units`), messages are stripped, and every unit of a text belongs to one of them.

    Examples
    --------
    >>> find_passages(["Why?", "Because."], "chat")[1]
    Passage(text='Why?\n\nBecause.', start=6, end=14)
    >>> find_passages(["Why?", "Because."], "message")[1]
    Passage(text='Because.', start=0, end=8)
    """
    if as_reference:
        return _find_whole_passages(contents, context)
    if context == "message":
        return [Passage(content, 0, len(content)) for content in contents]
    text = BETWEEN_MESSAGES.join(contents)
    found, start = [], 0
    for content in contents:
        found.append(Passage(text, start, start + len(content)))
        start += len(content) + len(BETWEEN_MESSAGES)
    return found


def _find_whole_passages(contents: Sequence[str], context: Literal["message", "chat"]) -> list[Passage]:
    """Return passages of stripped messages that share all units of their text."""
    stripped = [content.strip() for content in contents]
    if context == "message":
        texts = stripped
        begins = [0] * len(contents)
    else:
        texts = [BETWEEN_REFERENCE_MESSAGES.join(stripped)] * len(contents)
        lengths = [len(content) + len(BETWEEN_REFERENCE_MESSAGES) for content in stripped]
        begins = [sum(lengths[:message]) for message in range(len(contents))]
    found = []
    for message, content in enumerate(contents):
        start, end = begins[message], begins[message] + len(stripped[message])
        is_last = context == "message" or message == len(contents) - 1
        reach = (start, len(texts[message]) + 1 if is_last else begins[message + 1])
        found.append(Passage(texts[message], start, end, len(content) - len(content.lstrip()), reach))
    return found
