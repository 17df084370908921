"""Words in lines: where each word of a text stands in a column of a given width."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gazetune.gaze.words import word_spans

_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_BREAK = re.compile(r"\r\n|[\n\r\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, or a part of a word that is wider than the column."""

    word: int
    """Index of the word in its text."""
    text: str
    left: float
    width: float


def printable(text: str) -> str:
    """Return the text with U+FFFD for what no page holds: control characters (not tabs, line ends), half characters."""
    return _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", text)


def wrap(text: str, width: float, measure: Callable[[str], float]) -> list[list[Piece]]:
    """Return the lines of a text in a column of `width`, in the unit of `measure`, which gives the width of a string.

    Line breaks and indentation of the text are kept (of several blank lines one), words too wide are divided between
    characters.
    """
    space = 1.5 * (measure("n n") - measure("nn"))  # shaded words need more room between them
    lines: list[list[Piece]] = [[]]
    right, end = 0.0, 0
    for word, (start, stop) in enumerate(word_spans(text).tolist()):
        *breaks, indent = _BREAK.split(text[end:start])
        left = right + space if lines[-1] else 0.0
        if breaks or not word:
            lines += [[] for _ in breaks[:2]] if word else []
            left = min(len(indent.expandtabs(4)) * space, width / 3)
        for part in _parts(printable(text[start:stop]), width - (left if not lines[-1] else 0.0), measure):
            size = measure(part)
            if lines[-1] and left + size > width:
                lines.append([])
                left = 0.0
            lines[-1].append(Piece(word, part, left, size))
            right = left = left + size
        end = stop
    return lines


def _parts(word: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    """Yield the word whole where it fits in `width`, else in parts that do. A mark stays with its letter."""
    if measure(word) <= width:
        yield word
        return
    part, size = "", 0.0
    for character in word:
        step = measure(character)
        if part and size + step > width and not unicodedata.combining(character):
            yield part
            part, size = "", 0.0
        part, size = part + character, size + step
    yield part
