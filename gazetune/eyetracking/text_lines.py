"""Words in lines: where each word of a text stands in a column of a given width.

Pages for an experiment and heat maps are laid out by it. The unit is that of the function that measures strings.

    |<-------------- width -------------->|
    |    if  x:                           |    the text's own line breaks and indentation stay
    |  a  wordtoolongforthecolumnwhichisc |    a word wider than the column is divided between characters
    |utinparts                            |

Python's `textwrap` is not used: it counts characters, and every script but monospaced Latin needs their widths; nor
does it know right-to-left script, marks that combine, or where each word ended up.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from gazetune.gaze.words import word_spans

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_JOINING = ("Mn", "Mc", "Me", "Cf", "Sk")  # accents, vowel signs, joiners, colours of skin
_LINE_BREAK = re.compile(r"\r\n|[\n\r\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word, or a part of a word that is wider than the column, where it stands in its line."""

    index: int
    """Of the word in its text."""
    text: str
    left: float
    """From the left edge of the column."""
    width: float


def replace_unprintable(text: str) -> str:
    r"""Return the text with U+FFFD for what no page holds: control characters (not tabs, line ends), half characters.

    Examples
    --------
    >>> replace_unprintable("a\x00b\tc") == "a\ufffdb\tc"
    True
    """
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def break_lines(text: str, width: float, measure: Callable[[str], float]) -> list[list[PlacedWord]]:
    """Return the lines of a text in a column of `width`, in the unit of `measure`, which gives the width of a string.

    Line breaks and indentation of the text are kept (of several blank lines one), words too wide are divided between
    characters. A paragraph that begins with right-to-left script begins at the right; the words of a line are listed in
    reading order all the same.

    Examples
    --------
    >>> lines = break_lines("one two three", width=10, measure=len)
    >>> [[word.text for word in line] for line in lines]
    [['one', 'two'], ['three']]
    >>> lines[0][1]  # a space takes one and a half
    PlacedWord(index=1, text='two', left=4.5, width=3)
    """
    space = 1.5 * (measure("n n") - measure("nn"))  # shaded words need more room between them
    lines: list[list[PlacedWord]] = [[]]
    from_right: list[bool] = []  # of each line
    right, end, right_to_left = 0.0, 0, False
    for index, (start, stop) in enumerate(word_spans(text).tolist()):
        *breaks, indent = _LINE_BREAK.split(text[end:start])
        left = right + space if lines[-1] else 0.0
        if breaks or not index:  # the first word of a paragraph
            # Two breaks make one blank line, more make no more. Breaks before the first word are dropped.
            lines += [[] for _ in breaks[:2]] if index else []
            left = min(len(indent.expandtabs(4)) * space, width / 3)
            from_right += [right_to_left] * (len(lines) - 1 - len(from_right))
            # The first letter of a paragraph decides its direction.
            rest = _LINE_BREAK.search(text, start)
            right_to_left = bool(_is_right_to_left(text[start : rest.start() if rest else None]))
        word = replace_unprintable(text[start:stop])
        for part in _divide_word(word, width - (left if not lines[-1] else 0.0), measure):
            size = measure(part)
            if lines[-1] and left + size > width:
                lines.append([])
                left = 0.0
            lines[-1].append(PlacedWord(index, part, left, size))
            right = left = left + size
        end = stop
    from_right += [right_to_left] * (len(lines) - len(from_right))
    return [_order_by_direction(line, mirrored, width, space) for line, mirrored in zip(lines, from_right, strict=True)]


def _is_right_to_left(text: str) -> bool | None:
    """Return the direction of the first character that has one, None where none has."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return None


def _order_by_direction(line: list[PlacedWord], from_right: bool, width: float, space: float) -> list[PlacedWord]:
    """Return a line, laid out from left to right, with words of right-to-left script where a reader expects them.

    The Unicode bidirectional algorithm for whole words: words of the other direction than the paragraph's stand in
    their own order, and a word without a direction goes with the one before it.
    """
    directions = [_is_right_to_left(word.text) for word in line]
    if not from_right and not any(directions):
        return line
    before, resolved = from_right, []
    for direction in directions:
        before = before if direction is None else direction
        resolved.append(before)
    visual_order: list[int] = []  # from the paragraph's side to the other
    for direction, group in groupby(range(len(line)), key=resolved.__getitem__):
        run = list(group)
        visual_order += run if direction == from_right else run[::-1]
    placed, edge = list(line), line[0].left if line else 0.0
    for index in visual_order:
        size = line[index].width
        placed[index] = replace(line[index], left=width - edge - size if from_right else edge)
        edge += size + space
    return placed


def _divide_word(word: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    """Yield the word whole where it fits in `width`, else in parts that do. Marks and joined emoji stay together."""
    if measure(word) <= width:
        yield word
        return
    part, size = "", 0.0
    for letter in _split_letters(word):
        step = measure(letter)
        if part and size + step > width:
            yield part
            part, size = "", 0.0
        part, size = part + letter, size + step
    yield part


def _split_letters(word: str) -> list[str]:
    """Return the characters of a word, each with the marks on it and with what is joined to it."""
    letters = [word[0]]
    for character in word[1:]:
        if unicodedata.category(character) in _JOINING or letters[-1].endswith("\N{ZERO WIDTH JOINER}"):
            letters[-1] += character
        else:
            letters.append(character)
    return letters
