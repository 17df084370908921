"""The five reading measures of one reader, from the words that the fixations lie on.

Definitions of Hollenstein et al. (2021), "CMCL 2021 Shared Task on Eye-Tracking Prediction", after ZuCo (Hollenstein
et al. 2018, Scientific Data 5) and Rayner (1998), Psychological Bulletin 124:

- nFix: number of fixations on the word.
- FFD, first fixation duration: duration of the first fixation on the word.
- GPT, go-past time: sum of all fixations from the first one on the word until the first one on a later word, with
  regressions to earlier words that start from it.
- TRT, total reading time: sum of all fixations on the word.
- fixProp: percent of the readers who fixated the word; 0 or 100 for one reader.

A word that was first fixated after a later word (skipped, then returned to) has FFD and GPT by the same rules: so it is
in the shared task and in the files of OASST-ETC. Many reading studies count only the first pass; `first_pass_only`
makes both 0 for such a word. Fixations on no word count nowhere. A skipped word has zeros, and zeros enter the means
over readers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MS_PER_UNIT = 48.5
"""FFD, GPT and TRT of the CMCL 2021 scale: milliseconds of one unit."""
NFIX_PER_FIXATION = 100 / 7.25
"""nFix of the CMCL 2021 scale: units (13.793) of one fixation."""


def measure_words(
    word: NDArray[np.int64], duration: NDArray[np.float64], words: int, first_pass_only: bool = False
) -> NDArray[np.float64]:
    """Return [words, 5]: number of fixations, FFD, GPT and TRT in milliseconds, fixProp in percent (0 or 100).

    Parameters
    ----------
    word
        [fixations] word of each fixation in time order, counted from 0 in reading order; negative: on no word.
    duration
        [fixations] seconds.
    words
        Number of words of the text.
    first_pass_only
        FFD and GPT are 0 for a word that was first fixated after a later word.
    """
    path = word[word >= 0]
    ms = duration[word >= 0] * 1000.0
    values = np.zeros((words, 5))
    values[:, 0] = np.bincount(path, minlength=words)
    values[:, 3] = np.bincount(path, weights=ms, minlength=words)
    values[:, 4] = np.where(values[:, 0] > 0, 100.0, 0.0)
    farthest = np.maximum.accumulate(path) if len(path) else path
    for index, first in zip(*np.unique(path, return_index=True), strict=True):
        if first_pass_only and farthest[first] > index:
            continue
        past = np.flatnonzero(path[first:] > index)
        stop = first + past[0] if len(past) else len(path)
        values[index, 1] = ms[first]
        values[index, 2] = ms[first:stop].sum()
    return values


def to_cmcl_scale(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return measures [words, 5] in fixations, milliseconds and percent in the units of the CMCL 2021 shared task.

    1 unit of FFD, GPT and TRT is 48.5 ms, 100 units of nFix are 7.25 fixations, fixProp stays. Nothing is cut at 100.
    """
    return values * np.array([NFIX_PER_FIXATION, 1 / MS_PER_UNIT, 1 / MS_PER_UNIT, 1 / MS_PER_UNIT, 1.0])
