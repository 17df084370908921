"""The five reading measures of one reader, from the words that the fixations lie on.

Definitions of Hollenstein et al. (2021), "CMCL 2021 Shared Task on Eye-Tracking Prediction", after ZuCo (Hollenstein
et al. 2018, Scientific Data 5) and Rayner (1998), Psychological Bulletin 124:

- nFix: number of fixations on the word.
- FFD, first fixation duration: duration of the first fixation on the word.
- GPT, go-past time: sum of all fixations from the first one on the word until the first one on a later word, with
  regressions to earlier words that start from it.
- TRT, total reading time: sum of all fixations on the word.
- fixProp: percent of the readers who fixated the word; 0 or 100 for one reader.

For fixations of 100, 200, 50 and 300 ms on the words 0, 2, 1 and 3:

    word 0     1     2     3
    100 ----------> 200           GPT of word 2: 200 + 50 = 250, since the regression to word 1 starts from it
               50 <---
               ------------> 300

A word that was first fixated after a later word (skipped, then returned to) has FFD and GPT by the same rules: so it is
in the shared task and in the files of OASST-ETC. Many reading studies count only the first pass; `first_pass_only`
makes both 0 for such a word. Fixations on no word count nowhere. A skipped word has zeros, and zeros enter the means
over readers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES

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
        [fixations] word of each fixation in the order of time, counted from 0 in reading order; negative: on no word.
    duration
        [fixations] seconds.
    words
        Number of words of the text.
    first_pass_only
        FFD and GPT are 0 for a word that was first fixated after a later word.

    Examples
    --------
    >>> measure_words(np.array([0, 2, 1, 3]), np.array([0.1, 0.2, 0.05, 0.3]), words=4).round().astype(int)
    array([[  1, 100, 100, 100, 100],
           [  1,  50,  50,  50, 100],
           [  1, 200, 250, 200, 100],
           [  1, 300, 300, 300, 100]])
    """
    path = word[word >= 0]
    ms = duration[word >= 0] * 1000.0
    values = np.zeros((words, len(MEASURES)))
    values[:, 0] = np.bincount(path, minlength=words)
    values[:, 3] = np.bincount(path, weights=ms, minlength=words)
    values[:, 4] = np.where(values[:, 0] > 0, 100.0, 0.0)
    # The latest word of the text up to each fixation. Where it lies beyond a word, that word has no first pass.
    farthest = np.maximum.accumulate(path) if len(path) else path
    for index, first in zip(*np.unique(path, return_index=True), strict=True):
        if first_pass_only and farthest[first] > index:
            continue
        # The first fixation on a later word ends the go-past time; without one, the end of the trial does.
        past = np.flatnonzero(path[first:] > index)
        stop = first + past[0] if len(past) else len(path)
        values[index, 1] = ms[first]
        values[index, 2] = ms[first:stop].sum()
    return values


def merge_measures(measures: NDArray[np.float64], unit: NDArray[np.int64], units: int) -> NDArray[np.float64]:
    """Return the measures [units, 5] of units, each of one word or of several, from those of their words.

    Counts and total times of words in one unit are added; it has the first duration of its first fixated word and the
    longest go-past time, since that of a unit cannot be known from those of its parts.

    Parameters
    ----------
    measures
        [words, 5].
    unit
        [words] the unit that each word lies in.
    units
        Number of units.

    Examples
    --------
    >>> measures = np.array([[1.0, 200, 250, 200, 100], [2, 150, 900, 400, 100]])
    >>> merge_measures(measures, unit=np.array([0, 0]), units=1).tolist()
    [[3.0, 200.0, 900.0, 600.0, 100.0]]
    """
    values = np.zeros((units, len(MEASURES)))
    for column in (0, 3):
        np.add.at(values[:, column], unit, measures[:, column])
    for column in (2, 4):
        np.maximum.at(values[:, column], unit, measures[:, column])
    _keep_first_durations(values, measures[:, 1], unit)
    return values


def merge_averages(averages: NDArray[np.float64], unit: NDArray[np.int64], units: int) -> NDArray[np.float64]:
    """Return [units, 5] from averages over readers, which have no GPT and no fixProp: both are 0.

    Parameters
    ----------
    averages
        [words, 3] number of fixations, first fixation duration (s) and total time (s).
    unit, units
        As `merge_measures` takes them.
    """
    values = np.zeros((units, len(MEASURES)))
    np.add.at(values[:, 0], unit, averages[:, 0])
    np.add.at(values[:, 3], unit, averages[:, 2] * 1000.0)
    _keep_first_durations(values, averages[:, 1] * 1000.0, unit)
    return values


def convert_to_cmcl(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return measures [words, 5] in fixations, milliseconds and percent in the units of the CMCL 2021 shared task.

    1 unit of FFD, GPT and TRT is 48.5 ms, 100 units of nFix are 7.25 fixations, fixProp stays. Nothing is cut at 100.

    Examples
    --------
    >>> convert_to_cmcl(np.array([[7.25, 48.5, 97.0, 485.0, 60.0]])).tolist()
    [[100.0, 1.0, 2.0, 10.0, 60.0]]
    """
    return values * np.array([NFIX_PER_FIXATION, 1 / MS_PER_UNIT, 1 / MS_PER_UNIT, 1 / MS_PER_UNIT, 1.0])


def _keep_first_durations(
    values: NDArray[np.float64], first_durations: NDArray[np.float64], unit: NDArray[np.int64]
) -> None:
    """Set FFD of each unit to that of its first fixated word, in ms. From behind, so that the first one stays."""
    for word in np.flatnonzero(first_durations)[::-1]:
        values[unit[word], 1] = first_durations[word]
