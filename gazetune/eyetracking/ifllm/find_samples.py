"""Which reply's character a sample lies on.

A session has several questions one after another, all in one trace. What a sample shows (a window of characters around
the one looked at) and the index of that character tell the question:

1. replies that have the window at this index, give or take where it was cut off at the edge of a line;
2. where there is none (some browsers divide a reply into several nodes of text, each of which counts anew), replies
   that have the window exactly once.

Of several candidates the question of the sample before counts, where it is one of them; else the sample is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gazetune.eyetracking.ifllm.questions import Question
from gazetune.eyetracking.ifllm.traces import Trace

_BEFORE = 10
"""Characters of the window before the one looked at, where a line does not begin there."""
_SHORTEST = 6
"""Characters that a window has at least to be found without its index."""
_NONE = -1


class ShownReplies:
    """The replies that one side of a session showed, in the order of the questions."""

    def __init__(self, replies: Sequence[str]) -> None:
        self.replies = tuple(replies)
        self._units = [_list_utf16_units(reply) for reply in replies]

    def find_characters(self, window: str, character: int) -> dict[int, int]:
        """Return the candidates for a sample: number of the reply -> index of the character looked at.

        Examples
        --------
        >>> shown = ShownReplies(["The sky is blue today.", "The sky is not blue."])
        >>> shown.find_characters("The sky is not", 4), shown.find_characters("The sky is", 4)
        ({1: 4}, {0: 4, 1: 4})
        """
        found = {}
        for number, (reply, units) in enumerate(zip(self.replies, self._units, strict=True)):
            if 0 <= character < len(units):
                at = int(units[character])
                if reply.find(window, max(0, at - _BEFORE - 1), at + len(window) + 1) >= 0:
                    found[number] = at
        if found or len(window) < _SHORTEST:
            return found
        for number, reply in enumerate(self.replies):
            at = reply.find(window)
            if at >= 0 and reply.find(window, at + 1) < 0:
                found[number] = min(at + min(max(character, 0), _BEFORE), len(reply) - 1)
        return found


def find_samples(
    questions: Sequence[Question], traces: Sequence[Trace | None], left_out: Counter[str]
) -> list[list[NDArray[np.int64]]]:
    """Return for each side [left, right] and question of a session the samples on its reply.

    Parameters
    ----------
    questions
        Those of one session, in the order in which they were asked.
    traces
        Of the left and of the right reply.
    left_out
        Samples that lie on no reply are counted here, by the reason.

    Returns
    -------
    For each side a list with, for each question, [samples, 2]: index into the trace's `time`, and character.
    """
    shown = [ShownReplies([question.replies[side] for question in questions]) for side in (0, 1)]
    order = sorted(
        (float(trace.time[trace.row[sample]]), side, sample)
        for side, trace in enumerate(traces)
        if trace is not None
        for sample in range(len(trace))
    )
    placed: list[list[list[tuple[int, int]]]] = [[[] for _ in questions] for _ in (0, 1)]
    current = _NONE
    for _, side, sample in order:
        trace = traces[side]
        assert trace is not None
        candidates = shown[side].find_characters(trace.window[sample], int(trace.character[sample]))
        if not candidates:
            left_out["on no reply (mostly the page's own text)"] += 1
            continue
        if len(candidates) == 1:
            current = next(iter(candidates))
        elif current not in candidates:
            left_out["on a text that several replies have"] += 1
            continue
        placed[side][current].append((int(trace.row[sample]), candidates[current]))
    return [[np.array(each, dtype=np.int64).reshape(-1, 2) for each in side] for side in placed]


def _list_utf16_units(text: str) -> NDArray[np.int64]:
    """Return the character that each UTF-16 unit of a text is of: browsers count those."""
    wide = np.array([ord(character) > 0xFFFF for character in text], dtype=bool)
    return np.repeat(np.arange(len(text)), 1 + wide)
