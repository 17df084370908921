"""Which character of which message stands where in a text that a chat template wrote, whatever it did to contents.

The template is rendered once more with shadows in the place of contents. In a shadow each character is replaced by a
code point of its own, from the planes for private use. Wherever such a code point comes out, it tells its character:

    content    <think>Well.</think>So.          shadow    <think>ABCDE</think>FGH
    written    <|assistant|>So.<|end|>          written   <|assistant|>FGH<|end|>
    hence      "So." are characters 20 to 23 of the message, and the rest is not shown

A template may look for a text in a content, here for `</think>`. So white space stays in shadows, then the strings that
the template has, then all that is no letter or digit. A shadow counts when what was written of it, its code points
replaced by what they stand for, is the text. What stayed is then assigned by its neighbours.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from gazetune.reward.model.chat_templates import without_frozen_date

_FIRST_PRIVATE = 0xF0000
_PRIVATE = 0x110000 - _FIRST_PRIVATE
_NO_SPACE = re.compile(r"\S+")
_WORD = re.compile(r"\w+|[^\w\s]")
_SPACES = r"\s+"
_ALL_MARKS = r"[\W_]+"
_ESCAPED = 8
"""The most characters that a template writes for one mark, as in `&quot;` or `\\u0026`."""
_BEFORE = frozenset(["(", ",", "[", "=", "==", "!=", "in", "is"])
"""What stands before a string that a template hands to a function or compares with."""
_BEHIND = frozenset(["in", "not", "==", "!="])


class TemplateStrings(NamedTuple):
    """Texts that a template may look for in contents."""

    plain: list[str]
    special: list[str]
    """Those that spell a special token."""
    tokens: list[str]
    """All special tokens, which a template has as variables too."""

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerFast) -> TemplateStrings:
        """Return the strings that the tokenizer's template compares with, splits at, or hands to a filter."""
        template = without_frozen_date(tokenizer.get_chat_template())
        tokens = sorted(token for token in set(tokenizer.all_special_tokens) if token.strip())
        found = sorted(text for text in set(_acting_strings(template)) if text.strip())
        special = [text for text in found if any(token in text for token in tokens)]
        return cls([text for text in found if text not in special], special, tokens)

    def levels(self) -> list[tuple[str, list[str], list[str]]]:
        """Return what stays in a shadow, from little to much: a pattern, plain texts, and texts with special tokens."""
        return [
            (_SPACES, [], []),
            (_SPACES, self.plain, []),
            (_ALL_MARKS, self.plain, []),
            (_SPACES, self.plain, self.special),
            (_ALL_MARKS, self.plain, [*self.special, *self.tokens]),
        ]


def _acting_strings(template: str) -> Iterator[str]:
    """Yield the strings in a template's expressions that stand where one is compared with or handed over."""
    tokens = [(kind, value) for _, kind, value in Environment().lex(template) if kind != "whitespace"]
    for before, (kind, value), behind in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if kind == "string" and (before[1] in _BEFORE or behind[1] in _BEHIND):
            # As Jinja itself reads the escapes of a string.
            text = value[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")
            is_key = before[1] == "[" and text.isidentifier()  # message["content"]
            if not is_key and not (len(text) == 1 and text.isalnum()):
                yield text


@dataclass(frozen=True, slots=True)
class TracedText:
    """A text of T characters: for each the message that it is of (-1 for none), and which character of that."""

    message: NDArray[np.int64]
    offset: NDArray[np.int64]
    template_tokens: frozenset[str] = frozenset()

    def pieces(self) -> NDArray[np.int64]:
        """[P, 4] runs of one message: start and end in the text, the message, and its character that begins there."""
        joined = (self.message[1:] == self.message[:-1]) & (self.offset[1:] == self.offset[:-1] + 1)
        ends = np.append(np.flatnonzero(~joined) + 1, len(self.message))
        starts = np.append(0, ends[:-1])[: len(ends)]
        own = (ends > starts) & (self.message[np.minimum(starts, len(self.message) - 1)] >= 0)
        starts, ends = starts[own], ends[own]
        return np.stack([starts, ends, self.message[starts], self.offset[starts]], axis=1)

    def shown(self, contents: Sequence[str]) -> dict[int, NDArray[np.bool_]]:
        """Return for each message that does not stand in the text whole which of its characters do, without spaces.

        A mark is missed only where it is a word of its own: a template may write it in another form, such as `&amp;`.
        """
        partly: dict[int, NDArray[np.bool_]] = {}
        for message, content in enumerate(contents):
            visible = np.zeros(len(content), dtype=np.bool_)
            visible[self.offset[self.message == message]] = True
            letters = np.fromiter((not each.isspace() for each in content), dtype=np.bool_, count=len(content))
            hidden = np.flatnonzero(letters & ~visible).tolist()
            if any(content[place].isalnum() for place in hidden) or (
                hidden and any(not visible[found.start() : found.end()].any() for found in _NO_SPACE.finditer(content))
            ):
                partly[message] = visible & letters
        return partly


@dataclass(frozen=True, slots=True)
class _Shadows:
    """Contents one after another, N characters in all; C of them have a code point."""

    texts: list[str]
    codes: NDArray[np.uint32]
    """[N] the characters themselves."""
    kept: NDArray[np.bool_]
    """[N] whether the character stays what it is."""
    group: NDArray[np.int64]
    """[N] number of the looked-for string that a character is part of, -1 for none."""
    coded: NDArray[np.int64]
    """[C] the characters that have a code point, in the order of those."""
    message: NDArray[np.int64]
    """[N]."""
    starts: NDArray[np.int64]
    """[messages + 1]."""


def trace_contents(
    render: Callable[[Sequence[str]], str], contents: Sequence[str], text: str, strings: TemplateStrings
) -> TracedText | None:
    """Find every character of `contents` that stands in `text`.

    Parameters
    ----------
    render
        Writes contents as the template does; `text` is what it gave for `contents`.
    strings
        What the template may look for in contents.

    Returns
    -------
    TracedText or None
        None where the template does something else than select and move characters, or change their case.
    """
    if any(ord(character) >= _FIRST_PRIVATE for character in (*"".join(contents), *text)):
        return None
    for kept, plain, special in strings.levels():
        shadows = _cast_shadows(contents, re.compile(kept), [*plain, *special])
        if shadows is None:
            return None
        try:
            written = _codes_of(render(shadows.texts))
        except Exception:  # a template can raise anything
            continue
        traced = _read_shadows(written, _codes_of(text), shadows)
        if traced is not None:
            _find_uncoded(traced, shadows, contents, text)
            if kept == _ALL_MARKS:
                _find_escaped(traced, contents, text)
            return TracedText(traced.message, traced.offset, frozenset(special))
    return None


def _codes_of(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _cast_shadows(contents: Sequence[str], kept: re.Pattern[str], looked_for: Sequence[str]) -> _Shadows | None:
    """Replace characters by code points of their own; None when there are not enough of those."""
    whole = "".join(contents)
    codes = _codes_of(whole)
    stays = np.zeros(len(codes), dtype=np.bool_)
    lengths = [len(content) for content in contents]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    group = np.full(len(codes), -1, dtype=np.int64)
    present = [each for each in sorted(looked_for, key=len) if each.lower() in whole.lower()]
    patterns = [re.compile(re.escape(each), re.IGNORECASE) for each in present]
    for start, content in zip(starts.tolist(), contents, strict=False):
        for found in kept.finditer(content):
            stays[start + found.start() : start + found.end()] = True
        for pattern in patterns:
            for found in pattern.finditer(content):
                stays[start + found.start() : start + found.end()] = True
                group[start + found.start() : start + found.end()] = start + found.start()
    coded = np.flatnonzero(~stays)
    if len(coded) > _PRIVATE:
        return None
    cast = codes.copy()
    cast[coded] = _FIRST_PRIVATE + np.arange(len(coded), dtype=np.uint32)
    texts = [cast[start:end].tobytes().decode("utf-32-le", "surrogatepass") for start, end in pairwise(starts.tolist())]
    return _Shadows(texts, codes, stays, group, coded, np.repeat(np.arange(len(contents)), lengths), starts)


def _read_shadows(written: NDArray[np.uint32], text: NDArray[np.uint32], shadows: _Shadows) -> TracedText | None:
    """Assign the characters of `text` by what was `written` of shadows; None when the two are not the same text."""
    if len(written) != len(text):
        return None
    coded = np.flatnonzero(written >= _FIRST_PRIVATE)
    source = shadows.coded[written[coded] - _FIRST_PRIVATE]
    expected = written.copy()
    expected[coded] = shadows.codes[source]
    for place in np.flatnonzero(expected != text).tolist():
        # The template may have changed the case of what stood there, and of nothing else.
        if written[place] < _FIRST_PRIVATE or chr(expected[place]).lower() != chr(text[place]).lower():
            return None
    which = np.full(len(text), -1, dtype=np.int64)
    which[coded] = source
    which = np.where(which >= 0, which, _extend(which, text, shadows, 1))
    which = np.where(which >= 0, which, _extend(which[::-1], text[::-1], shadows, -1)[::-1])
    which = _drop_parts(which, shadows.group)
    message = np.full(len(text), -1, dtype=np.int64)
    offset = np.zeros(len(text), dtype=np.int64)
    own = which >= 0
    message[own] = shadows.message[which[own]]
    offset[own] = which[own] - shadows.starts[message[own]]
    return TracedText(message, offset)


def _drop_parts(which: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Take back the characters of a looked-for string that is not there whole: they are the template's own."""
    found = np.unique(which[which >= 0])
    sizes = np.bincount(group[group >= 0], minlength=len(group) + 1)
    there = np.bincount(group[found][group[found] >= 0], minlength=len(group) + 1)
    its_group = np.where(which >= 0, group[np.maximum(which, 0)], -1) if len(group) else which
    return np.where((its_group >= 0) & (there[its_group] < sizes[its_group]), -1, which)


def _extend(which: NDArray[np.int64], text: NDArray[np.uint32], shadows: _Shadows, step: int) -> NDArray[np.int64]:
    """Continue each known character by those next to it in its message, as long as they stayed and are the same."""
    places = np.arange(len(which))
    known = which >= 0
    last = np.maximum.accumulate(np.where(known, places, -1))
    from_known = which[np.maximum(last, 0)]
    guess = from_known + step * (places - last)
    inside = (last >= 0) & (guess >= 0) & (guess < len(shadows.codes))
    guess = np.where(inside, guess, 0)
    if not len(shadows.codes):
        return np.full(len(which), -1, dtype=np.int64)
    same = inside & shadows.kept[guess] & (shadows.codes[guess] == text)
    same &= shadows.message[guess] == shadows.message[np.where(inside, from_known, 0)]
    misses = np.cumsum(~same & ~known)
    unbroken = same & (misses == misses[np.maximum(last, 0)])
    return np.where(unbroken & ~known, guess, -1)


def _find_uncoded(traced: TracedText, shadows: _Shadows, contents: Sequence[str], text: str) -> None:
    """Look for contents that have no character with a code point, behind the message before them; in place."""
    for message, content in enumerate(contents):
        stays = shadows.kept[shadows.starts[message] : shadows.starts[message + 1]]
        core = content.strip()
        if not core or not stays.all():
            continue
        before = np.flatnonzero((traced.message >= 0) & (traced.message < message))
        start = text.find(core, int(before[-1]) + 1 if len(before) else 0)
        while start >= 0 and (traced.message[start : start + len(core)] >= 0).any():
            start = text.find(core, start + 1)
        if start >= 0:
            first = content.index(core)
            traced.message[start : start + len(core)] = message
            traced.offset[start : start + len(core)] = np.arange(first, first + len(core))


def _find_escaped(traced: TracedText, contents: Sequence[str], text: str) -> None:
    """Look for marks that stand escaped between characters that are known or right behind the last one; in place."""
    known = np.flatnonzero(traced.message >= 0)
    for place, behind in zip(known.tolist(), [*known[1:].tolist(), len(text)], strict=True):
        message, offset = int(traced.message[place]), int(traced.offset[place])
        together = behind < len(text) and traced.message[behind] == message
        stop = int(traced.offset[behind]) if together else len(contents[message])
        for source in range(offset + 1, stop):
            mark = contents[message][source]
            if mark.isalnum():
                break
            found = -1 if mark.isspace() else text.find(mark, place + 1, min(behind, place + 1 + _ESCAPED))
            if found >= 0:
                traced.message[found], traced.offset[found] = message, source
                place = found


def search_contents(contents: Sequence[str], text: str) -> TracedText:
    """Find the words of `contents` in `text`, in their order and whatever their case.

    Examples
    --------
    >>> search_contents(["Why so?"], "user: why, so!").message.tolist()
    [-1, -1, -1, -1, -1, -1, 0, 0, 0, -1, -1, 0, 0, -1]
    """
    message = np.full(len(text), -1, dtype=np.int64)
    offset = np.zeros(len(text), dtype=np.int64)
    asked = [(index, found) for index, content in enumerate(contents) for found in _WORD.finditer(content)]
    written = list(_WORD.finditer(text))
    matcher = difflib.SequenceMatcher(
        None, [found[0].casefold() for _, found in asked], [found[0].casefold() for found in written], autojunk=False
    )
    for block in matcher.get_matching_blocks():
        for place in range(block.size):
            index, source = asked[block.a + place]
            found = written[block.b + place]
            length = min(found.end() - found.start(), source.end() - source.start())
            message[found.start() : found.start() + length] = index
            offset[found.start() : found.start() + length] = np.arange(source.start(), source.start() + length)
    return TracedText(message, offset)
