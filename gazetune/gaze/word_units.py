"""Words as the units of gaze, made of whatever units the predictor has.

A token of the backbone holds one unit. Where units are finer than the backbone's tokens (as the T5 tokens of `bilstm`
may be) some would therefore find no token of their own, and their measures would be lost; a word's sum is not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gazetune.gaze.store.part import FlatGaze


def word_slots(gaze: FlatGaze) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the words of all texts, one text after another, those without a unit between others too.

    Returns
    -------
    unit_slot
        [units] the number of each unit's word.
    slot_text
        [slots] the text that each word is of.
    """
    texts = len(gaze.offsets) - 1
    text = np.repeat(np.arange(texts), np.diff(gaze.offsets))
    lengths = np.zeros(texts, dtype=np.int64)
    np.maximum.at(lengths, text, gaze.words.astype(np.int64) + 1)
    return (np.cumsum(lengths) - lengths)[text] + gaze.words, np.repeat(np.arange(texts), lengths)


def word_units(gaze: FlatGaze) -> FlatGaze:
    """Return the same gaze with one unit a word: the sum over the word's units, measure by measure.

    The sum is what GazeReward (Lopez-Cardona et al., ICLR 2025, arXiv 2410.01532) makes of predictor 1's tokens. A
    word's span goes from the start of its first unit to the end of its last one. Words without a unit have none
    afterwards either. Linear in units, but for sorting those that are not in order.

    Parameters
    ----------
    gaze
        Units of any kind; returned as it is where every word has one unit and they are in order.
    """
    slot, slot_text = word_slots(gaze)
    if (np.diff(slot) > 0).all():
        return gaze
    order = np.argsort(slot, kind="stable")
    present, first = np.unique(slot[order], return_index=True)
    sums = np.add.reduceat(gaze.values[order], first, axis=0, dtype=np.float64)
    starts = np.minimum.reduceat(gaze.spans[order, 0], first)
    ends = np.maximum.reduceat(gaze.spans[order, 1], first)
    counts = np.bincount(slot_text[present], minlength=len(gaze.offsets) - 1)
    return FlatGaze(
        np.stack([starts, ends], axis=1).astype(np.int32),
        sums.astype(np.float32),
        gaze.words[order][first],
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )
