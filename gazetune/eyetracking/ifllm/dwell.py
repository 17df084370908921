"""Samples on characters to visits of words, and these to reading measures.

A visit is a run of samples on one word. A webcam's samples are too far apart for fixations, so visits take their place:
TRT is the time on a word, fixProp whether it was looked at. nFix, FFD and GPT are of visits, too, not of fixations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.eyetracking.reading_measures import measure_words
from gazetune.gaze.words import word_spans

LONGEST_SAMPLE = 300.0
"""Milliseconds that a sample stands for at most. Of the published traces' samples 99 % are less than 200 ms apart."""
STRETCH = 30
"""Characters of the stretches that say how much of a reply was seen: about five words, as far as a webcam can tell."""
COARSE = ("nFix", "FFD", "GPT")
"""Measures that need fixations, and so a finer rate than a webcam's."""


@dataclass(frozen=True, slots=True)
class ReplyReading:
    """What one reader did on one reply."""

    samples: int
    seconds: float
    seen: float
    """Share of its stretches of `STRETCH` characters with a sample."""
    measures: NDArray[np.float64]
    """[words, 5] visits, ms, ms, ms and percent."""


def read_reply(reply: str, placed: NDArray[np.int64], time: NDArray[np.float64]) -> ReplyReading:
    """Return the reading of a reply.

    Parameters
    ----------
    placed
        [samples, 2] index into `time`, and character of the reply.
    time
        [rows] milliseconds of all rows of the trace.
    """
    spans = word_spans(reply)
    row, character = placed[:, 0], placed[:, 1]
    following = np.append(time[1:], time[-1:])
    lasts = np.clip(following[row] - time[row], 0.0, LONGEST_SAMPLE)
    # A character between words counts for the next word, the last ones for the last word.
    word = np.minimum(np.searchsorted(spans[:, 1], character, side="right"), len(spans) - 1)
    # A visit ends where the word changes, or a row between lies elsewhere or is missing.
    begins = np.ones(len(word), dtype=bool)
    begins[1:] = (np.diff(word) != 0) | (np.diff(row) != 1) | (np.diff(time[row]) > LONGEST_SAMPLE)
    visit = np.cumsum(begins) - 1
    duration = np.bincount(visit, weights=lasts) / 1000.0 if len(word) else np.zeros(0)
    stretches = -(-len(reply) // STRETCH)
    return ReplyReading(
        samples=len(word),
        seconds=float(lasts.sum()) / 1000.0,
        seen=len(np.unique(character // STRETCH)) / stretches,
        measures=measure_words(word[begins].astype(np.int64), duration, len(spans)),
    )
