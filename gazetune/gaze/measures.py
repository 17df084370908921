"""Reading measures of texts, per unit of the predictor that made them.

A unit is a word, or a token of the predictor's own tokenizer: then a word has several units. One text is a `TextGaze`.
Many texts are one `FlatGaze`: the same arrays, one text after another, with the offsets at which texts begin.

    texts      "the cat"             "sat"
    units       the   ca   t          sat         bilstm, whose tokens are pieces of words
    words        0     1   1           0          counted within the text
    offsets    0                      3      4    the units of text i are offsets[i]:offsets[i + 1]

Measures stand in the order and units of the CMCL 2021 shared task (Hollenstein et al., 2021): nFix (100 = 7.25
fixations), FFD, GPT (go-past time) and TRT (1 unit = 48.5 ms), fixProp (percent of readers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.words import word_spans


@dataclass(frozen=True, slots=True)
class TextGaze:
    """The measures of one text."""

    spans: NDArray[np.int32]
    """[units, 2] character offsets (start, end) into the text, in Python string indices."""
    values: NDArray[np.float32]
    """[units, 5] measures in the order of `MEASURES`."""
    words: NDArray[np.int32]
    """[units] index of the word that the unit belongs to, counted from 0 within the text."""

    def word_values(self, words: int) -> NDArray[np.float64]:
        """Return the measures of each word, [words, 5]: the sum over its units; zeros where it has none.

        Parameters
        ----------
        words
            Number of words of the text.

        Examples
        --------
        >>> tokens = TextGaze(np.array([[0, 3], [4, 6], [6, 7]]), np.ones((3, 5)), np.array([0, 1, 1]))
        >>> tokens.word_values(3)[:, 0]  # nFix of the three words of "the cat sat"; the last one was not predicted
        array([1., 2., 0.])
        """
        values = np.zeros((words, len(MEASURES)))
        np.add.at(values, self.words, self.values)
        return values


class FlatGaze(NamedTuple):
    """The measures of several texts: their units, one text after another."""

    spans: NDArray[np.int32]
    """[units, 2] character offsets, each into its own text."""
    values: NDArray[np.float32]
    """[units, 5] measures in the order of `MEASURES`."""
    words: NDArray[np.int32]
    """[units] index of the word within its text."""
    offsets: NDArray[np.int64]
    """[texts + 1]; the units of text i are offsets[i]:offsets[i + 1]."""

    @classmethod
    def from_texts(cls, gazes: Sequence[TextGaze], unclipped: bool = False) -> FlatGaze:
        """Return the units of several texts one after another.

        Measures of an `unclipped` predictor may be negative.

        Raises
        ------
        ValueError
            If arrays of a text have a wrong shape, or its measures are negative or not finite.
        """
        for gaze in gazes:
            _refuse_broken(gaze, unclipped)
        values = [np.zeros((0, len(MEASURES)), np.float32), *(gaze.values for gaze in gazes)]
        return cls(
            np.concatenate([np.zeros((0, 2), np.int32), *(gaze.spans for gaze in gazes)]).astype(np.int32),
            np.concatenate(values).astype(np.float32),
            np.concatenate([np.zeros(0, np.int32), *(gaze.words for gaze in gazes)]).astype(np.int32),
            np.cumsum([0, *(len(gaze.words) for gaze in gazes)], dtype=np.int64),
        )

    @classmethod
    def concatenate(cls, flats: Sequence[FlatGaze]) -> FlatGaze:
        """Return the texts of several `FlatGaze`, at least one, one after another."""
        spans, values, words, _ = (np.concatenate(arrays) for arrays in zip(*flats, strict=True))
        counts = [np.diff(flat.offsets) for flat in flats]
        return cls(spans, values, words, np.cumsum(np.concatenate([[0], *counts]), dtype=np.int64))

    def number_words(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Number the words of all texts, one text after another. Words without a unit between others have numbers too.

        Returns
        -------
        unit_word
            [units] the number of each unit's word.
        word_text
            [numbered words] the text that each word is of.

        Examples
        --------
        >>> none = np.zeros((4, 2), np.int32), np.zeros((4, 5), np.float32)
        >>> gaze = FlatGaze(*none, words=np.array([0, 0, 2, 0]), offsets=np.array([0, 3, 4]))
        >>> gaze.number_words()  # word 1 of the first text has no unit
        (array([0, 0, 2, 3]), array([0, 0, 0, 1]))
        """
        texts = len(self.offsets) - 1
        text = np.repeat(np.arange(texts), np.diff(self.offsets))
        lengths = np.zeros(texts, dtype=np.int64)
        np.maximum.at(lengths, text, self.words.astype(np.int64) + 1)
        return (np.cumsum(lengths) - lengths)[text] + self.words, np.repeat(np.arange(texts), lengths)

    def merge_into_words(self) -> FlatGaze:
        """Return the same gaze with one unit a word: the sum over the word's units, measure by measure.

        A token of the backbone holds one unit. Where units are finer than the backbone's tokens (as the T5 tokens of
        `bilstm` may be), some units find no token of their own, and their measures would be lost. The sum over a word
        is not lost. GazeReward (Lopez-Cardona et al., ICLR 2025, arXiv 2410.01532) sums the tokens of its predictor 1
        in the same way.

        A word's span goes from the start of its first unit to the end of its last one. Words without a unit have none
        afterwards either. The cost is linear in units, except for sorting units that are not in order. Where every word
        has one unit and the units are in order, the same object is returned.
        """
        word, word_text = self.number_words()
        if (np.diff(word) > 0).all():
            return self
        order = np.argsort(word, kind="stable")
        present, first = np.unique(word[order], return_index=True)
        sums = np.add.reduceat(self.values[order], first, axis=0, dtype=np.float64)
        starts = np.minimum.reduceat(self.spans[order, 0], first)
        ends = np.maximum.reduceat(self.spans[order, 1], first)
        counts = np.bincount(word_text[present], minlength=len(self.offsets) - 1)
        return FlatGaze(
            np.stack([starts, ends], axis=1).astype(np.int32),
            sums.astype(np.float32),
            self.words[order][first],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )


class GazePredictor(Protocol):
    """Texts in, measures out. Deterministic: the same text always gets the same measures."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the measures of any text would change (name, seed, weights' hash)."""

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the measures of each text, in order."""


def predict_words(predictor: GazePredictor, text: str) -> list[dict[str, str | int | float]]:
    """Return `{word, start, end, nFix, FFD, GPT, TRT, fixProp}` of each word of a text, in order.

    `start` and `end` are character offsets into the text. The measures are as in `TextGaze.word_values`, rounded to
    four decimals.

    Raises
    ------
    InputError
        If the text has no words, or the predictor refuses it.
    """
    spans = word_spans(text)
    if not len(spans):
        raise InputError(f"text {text[:40]!r}: has no words")
    values = predictor.predict([text])[0].word_values(len(spans)).round(4)
    return [
        {"word": text[start:end], "start": start, "end": end, **dict(zip(MEASURES, row, strict=True))}
        for (start, end), row in zip(spans.tolist(), values.tolist(), strict=True)
    ]


def feature_columns(features: Sequence[str]) -> list[int]:
    """Return the columns of `TextGaze.values` that a feature mask selects.

    Examples
    --------
    >>> feature_columns(["FFD", "TRT"])
    [1, 3]
    """
    return [MEASURES.index(name) for name in features]


def _refuse_broken(gaze: TextGaze, unclipped: bool) -> None:
    units = len(gaze.words)
    if gaze.spans.shape != (units, 2) or gaze.values.shape != (units, len(MEASURES)):
        raise ValueError(
            f"the gaze predictor returned spans {gaze.spans.shape} and values {gaze.values.shape} for {units} units"
        )
    if not (np.isfinite(gaze.values) & (unclipped | (gaze.values >= 0))).all():
        raise ValueError("the gaze predictor returned measures that are negative or not finite")
