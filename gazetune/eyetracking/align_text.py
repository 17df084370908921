"""The words of a screen to the characters of the text that it showed.

Words come from OCR or from a layout, so white space says nothing: a word of the text may come in two boxes and two
words in one. Characters are compared after NFKD, with those that OCR confuses as one (I l 1 |, O 0, kinds of
quotation marks and dashes). Any other difference is one, and the first is named.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.recording import Recording
from gazetune.gaze.words import word_spans

_CONFUSED = str.maketrans(
    {"l": "I", "1": "I", "|": "I", "0": "O"}
    | dict.fromkeys("`\u2018\u2019", "'")
    | dict.fromkeys("\u201c\u201d\u201e", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
)


def fold_text(text: str) -> str:
    """Return the text without white space and with characters that OCR confuses made equal.

    Examples
    --------
    >>> fold_text("All 10") == fold_text("AI1 lO")
    True
    """
    return "".join(_fold_character(character) for character in text)


class ShownTexts:
    """The texts that may have been read. A recording finds its own among them by its words.

    Parameters
    ----------
    texts
        Those without a word are left out. Of texts that differ by what `fold_text` drops, the first is found.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [text for text in dict.fromkeys(texts) if text.strip()]
        self._by_folded = {fold_text(text): text for text in reversed(self._texts)}

    def find_text(self, recording: Recording) -> str:
        """Return the text that the recorded words are.

        Raises
        ------
        InputError
            If none fits: with the first difference to the text that agrees the longest.
        """
        if recording.complete:
            joined = "".join(fold_text(word or "") for word in recording.words)
            if joined in self._by_folded:  # one look-up for the whole screen
                return self._by_folded[joined]
            nearest = max(self._by_folded, key=lambda folded: _common_prefix_length(folded, joined), default=None)
            best = None if nearest is None else self._by_folded[nearest]
        else:
            best = max(self._texts, key=lambda text: _count_agreeing_words(recording, text), default=None)
        if best is None:
            raise InputError(f"{recording.origins[0]}: there is no text to compare the words with")
        align_words(recording, best)  # names the first difference
        return best


def align_words(recording: Recording, text: str) -> NDArray[np.int32]:
    """Return the characters (start, end) of `text` that each recorded word stands for, [words, 2].

    Words without a name (None) take the word of the text at their place.

    Raises
    ------
    InputError
        Naming file and row of the first word that differs from the text, or the first word of the text that no
        recorded word stands for.
    """
    if not recording.complete:
        return _align_numbered_words(recording, text)
    folded = [_fold_character(character) for character in text]
    joined = "".join(folded)
    origin = np.repeat(np.arange(len(text)), [len(part) for part in folded])  # character of the text of each folded one
    spans = np.zeros((len(recording.words), 2), dtype=np.int32)
    done = 0
    for index, word in enumerate(recording.words):
        expected = fold_text(word or "")
        if not expected or not joined.startswith(expected, done):
            at = int(origin[done]) if done < len(origin) else None
            raise InputError(_describe_difference(recording, index, text, at))
        spans[index] = origin[done], origin[done + len(expected) - 1] + 1
        done += len(expected)
    if done < len(joined):
        at = int(origin[done])
        raise InputError(
            f"{recording.origins[-1]}: the recorded words end here, but the text goes on with "
            f"{_quote_words(text, at)} at character {at}"
        )
    return spans


def find_common_units(
    text: str, recordings: Sequence[NDArray[np.int32]]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the units that all recordings of a text can be told apart in: words, joined where a box spans several.

    Parameters
    ----------
    recordings
        For each recording the spans of its words, [words, 2].

    Returns
    -------
    units, unit_of_character
        [units, 2] characters (start, end) of each unit, and [characters] the unit that each character lies in or
        that the next one after it does.

    Examples
    --------
    >>> units, unit_of_character = find_common_units("one two three", [np.array([[0, 3], [4, 13]], dtype=np.int32)])
    >>> units.tolist()  # a reader's box spans the last two words
    [[0, 3], [4, 13]]
    >>> unit_of_character[[0, 8]].tolist()
    [0, 1]
    """
    words = word_spans(text)
    begins_unit = np.ones(len(words), dtype=bool)
    for spans in recordings:
        first = np.searchsorted(words[:, 0], spans[:, 0], side="right") - 1
        last = np.searchsorted(words[:, 0], spans[:, 1] - 1, side="right") - 1
        # Words that one box spans cannot be told apart, so all but the first begin no unit.
        for low, high in zip(first, last, strict=True):
            begins_unit[low + 1 : high + 1] = False
    starts = np.flatnonzero(begins_unit)
    ends = np.append(starts[1:], len(words)) - 1
    units = np.stack([words[starts, 0], words[ends, 1]], axis=1).astype(np.int32)
    return units, np.searchsorted(units[:, 1], np.arange(len(text)), side="right")


def _fold_character(character: str) -> str:
    return "".join(unicodedata.normalize("NFKD", character).translate(_CONFUSED).split())


def _common_prefix_length(left: str, right: str) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(left), len(right)))


def _align_numbered_words(recording: Recording, text: str) -> NDArray[np.int32]:
    """Align words that are known by their number in the text, not all of them by name."""
    spans = word_spans(text)
    for index, word in enumerate(recording.words):
        if index >= len(spans):
            raise InputError(_describe_difference(recording, index, text, None))
        start, end = spans[index].tolist()
        if word is not None and fold_text(word) != fold_text(text[start:end]):
            raise InputError(_describe_difference(recording, index, text, start))
    return spans


def _count_agreeing_words(recording: Recording, text: str) -> int:
    """Return how many words from the first on agree with the text's words."""
    words = text.split()
    for index, word in enumerate(recording.words):
        if index >= len(words) or (word is not None and fold_text(word) != fold_text(words[index])):
            return index
    return len(recording.words) + 1


def _describe_difference(recording: Recording, index: int, text: str, at: int | None) -> str:
    found = "has ended" if at is None else f"has {_quote_words(text, at)} at character {at}"
    return f"{recording.origins[index]}: word {index} is '{recording.words[index]}', but the nearest text {found}"


def _quote_words(text: str, at: int) -> str:
    return repr(" ".join(text[at : at + 60].split()[:3]))
