"""Words in lines: where each word of a text stands in a column of a given width."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from gazetune.gaze.words import word_spans

_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_JOINING = ("Mn", "Mc", "Me", "Cf", "Sk")  # accents, vowel signs, joiners, colours of skin
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
    characters. A paragraph that begins with right-to-left script begins at the right; the words of a line are listed in
    reading order all the same.
    """
    space = 1.5 * (measure("n n") - measure("nn"))  # shaded words need more room between them
    lines: list[list[Piece]] = [[]]
    from_right: list[bool] = []  # of each line
    right, end, backwards = 0.0, 0, False
    for word, (start, stop) in enumerate(word_spans(text).tolist()):
        *breaks, indent = _BREAK.split(text[end:start])
        left = right + space if lines[-1] else 0.0
        if breaks or not word:
            lines += [[] for _ in breaks[:2]] if word else []
            left = min(len(indent.expandtabs(4)) * space, width / 3)
            from_right += [backwards] * (len(lines) - 1 - len(from_right))
            rest = _BREAK.search(text, start)
            backwards = bool(_is_right_to_left(text[start : rest.start() if rest else None]))
        for part in _parts(printable(text[start:stop]), width - (left if not lines[-1] else 0.0), measure):
            size = measure(part)
            if lines[-1] and left + size > width:
                lines.append([])
                left = 0.0
            lines[-1].append(Piece(word, part, left, size))
            right = left = left + size
        end = stop
    from_right += [backwards] * (len(lines) - len(from_right))
    return [_placed(line, mirrored, width, space) for line, mirrored in zip(lines, from_right, strict=True)]


def _is_right_to_left(text: str) -> bool | None:
    """Return the direction of the first character that has one, None where none has."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return None


def _placed(line: list[Piece], from_right: bool, width: float, space: float) -> list[Piece]:
    """Return a line, laid out from left to right, with words of right-to-left script where a reader expects them.

    The Unicode bidirectional algorithm for whole words: words of the other direction than the paragraph's stand in
    their own order, and a word without a direction goes with the one before it.
    """
    directions = [_is_right_to_left(piece.text) for piece in line]
    if not from_right and not any(directions):
        return line
    before, resolved = from_right, []
    for direction in directions:
        before = before if direction is None else direction
        resolved.append(before)
    seen: list[int] = []  # pieces from the paragraph's side to the other
    for direction, group in groupby(range(len(line)), key=resolved.__getitem__):
        run = list(group)
        seen += run if direction == from_right else run[::-1]
    placed, edge = list(line), line[0].left if line else 0.0
    for index in seen:
        size = line[index].width
        placed[index] = replace(line[index], left=width - edge - size if from_right else edge)
        edge += size + space
    return placed


def _parts(word: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    """Yield the word whole where it fits in `width`, else in parts that do. Marks and joined emoji stay together."""
    if measure(word) <= width:
        yield word
        return
    part, size = "", 0.0
    for letter in _letters(word):
        step = measure(letter)
        if part and size + step > width:
            yield part
            part, size = "", 0.0
        part, size = part + letter, size + step
    yield part


def _letters(word: str) -> list[str]:
    """Return the characters of a word, each with the marks on it and with what is joined to it."""
    letters = [word[0]]
    for character in word[1:]:
        if unicodedata.category(character) in _JOINING or letters[-1].endswith("\N{ZERO WIDTH JOINER}"):
            letters[-1] += character
        else:
            letters.append(character)
    return letters
