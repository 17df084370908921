"""What the lexical predictor sees of a word: its form, its letter groups, its neighbours and its place in the sentence.

Everything is a function of one text alone. The form of a distinct word is computed once and then looked up, so a text
costs a few array operations a word:

    table       one row a word: text, sentence, row of `forms`
    forms       one row a distinct word: length, capitals, punctuation, commonness, ...
    pieces      the distinct word's groups of one to three letters, hashed into 512 buckets
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gazetune.gaze.common_words import RAREST, commonness_band
from gazetune.gaze.words import word_spans

CONTEXT = 2
"""Neighbours on each side that are seen beside a word. They never reach over a sentence's end."""

BUCKETS = 512
"""Rows of the table in which groups of letters are looked up, by a hash."""

_GROUPS = (1, 2, 3)  # letters of a group

_CORE = re.compile(r"^[\W_]+|[\W_]+$")
_OPENING = "\"'([{«“‘`"  # noqa: RUF001 - typographic marks are what is looked for, here and below
_CLOSING = "\"')]}»”’*"  # noqa: RUF001
_APOSTROPHES = "'’"  # noqa: RUF001
_JOINERS = "-–/"  # noqa: RUF001
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001
_INITIALS = re.compile(r"[^\W\d_]\.(?:[^\W\d_]\.)*")
_ABBREVIATIONS = """
    mr. mrs. ms. dr. prof. sr. jr. st. co. inc. ltd. corp. bros. col. gen. lt. sgt. capt. rep. sen. gov. rev. hon.
    vs. etc. e.g. i.e. cf. no. vol. pp. fig. eq. approx. dept. est. ph.d. jan. feb. mar. apr. jun. jul. aug. sep. sept.
    oct. nov. dec.
"""
_NO_SENTENCE_END = frozenset(_ABBREVIATIONS.split())
_BULLET = re.compile(r"[-*+•‣◦\u2013\u2014]|\(?\d{1,2}[.)]|\(?[a-z]\)")
_RARE_LETTERS = frozenset("jkqvwxyz")


@dataclass(frozen=True, slots=True)
class WordTable:
    """The words of several texts, one after another."""

    spans: NDArray[np.int32]
    """[words, 2] character offsets, each into its own text."""
    offsets: NDArray[np.int64]
    """[texts + 1]; the words of text i are offsets[i]:offsets[i + 1]."""
    sentence: NDArray[np.int64]
    """[words] index of the sentence, counted over all texts."""
    form: NDArray[np.int64]
    """[words] row of `forms`."""
    forms: NDArray[np.float64]
    """[distinct words, FORM_FEATURES]."""
    pieces: NDArray[np.int64]
    """Buckets of the letter groups of all distinct words, one word after another; every word has some."""
    piece_offsets: NDArray[np.int64]
    """[distinct words + 1]; the groups of distinct word i are pieces[piece_offsets[i]:piece_offsets[i + 1]]."""


def word_table(texts: Sequence[str]) -> WordTable:
    """Split texts into words and sentences and describe each distinct word."""
    spans = [word_spans(text) for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in spans])]).astype(np.int64)
    index: dict[str, int] = {}
    form = np.array([index.setdefault(word, len(index)) for text in texts for word in text.split()], dtype=np.int64)
    starts = _line_starts(texts, spans)
    starts[offsets[:-1][np.diff(offsets) > 0]] = True
    starts |= _after_sentence_end(list(index), form)
    described = [describe_word(word) for word in index]
    return WordTable(
        spans=np.concatenate([np.empty((0, 2), np.int32), *spans]),
        offsets=offsets,
        sentence=np.cumsum(starts) - 1,
        form=form,
        forms=np.array([features for features, _ in described]).reshape(-1, FORM_FEATURES),
        pieces=np.array([bucket for _, buckets in described for bucket in buckets], dtype=np.int64),
        piece_offsets=np.array([0, *itertools.accumulate(len(buckets) for _, buckets in described)], dtype=np.int64),
    )


def _line_starts(texts: Sequence[str], spans: Sequence[NDArray[np.int32]]) -> NDArray[np.bool_]:
    """Return which words are the first of a line, [words]. Bullets and numbered items begin lines too."""
    flags = []
    for text, span in zip(texts, spans, strict=True):
        first = np.zeros(len(span), dtype=bool)
        breaks = np.array([match.start() for match in re.finditer(r"[\n\r\u2028\u2029]", text)], dtype=np.int32)
        following = np.searchsorted(span[:, 0], breaks)
        first[following[following < len(span)]] = True
        flags.append(first)
    return np.concatenate([np.empty(0, bool), *flags])


def _after_sentence_end(distinct: Sequence[str], form: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which words follow the end of a sentence or are an inline bullet, [words].

    A full stop ends no sentence after initials and common abbreviations, nor before a lower-case word.
    """
    ends = np.array([_ends_sentence(word) for word in distinct], dtype=bool)
    lower = np.array([word[:1].islower() for word in distinct], dtype=bool)
    bullet = np.array([word in ("•", "‣", "◦") for word in distinct], dtype=bool)
    starts = np.zeros(len(form), dtype=bool)
    if len(form):
        starts = bullet[form]
        starts[1:] |= ends[form[:-1]] & ~lower[form[1:]]
    return starts


def _ends_sentence(word: str) -> bool:
    bare = word.rstrip(_CLOSING)
    if not bare.endswith(_SENTENCE_ENDS) or _BULLET.fullmatch(word):
        return False
    opened = bare.lstrip(_OPENING).lower()
    return opened not in _NO_SENTENCE_END and not _INITIALS.fullmatch(opened)


@lru_cache(maxsize=2**16)
def describe_word(word: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Return the features of one word's form, FORM_FEATURES of them, and the buckets of its letter groups.

    Lengths are in characters divided by 10, and capped; shares lie in 0..1. The groups are all runs of one to three
    letters of the word without outer punctuation, in lower case, with a mark at its start and one at its end.
    """
    core = _CORE.sub("", word)
    low = core.lower()
    bare = word.rstrip(_CLOSING)
    band = commonness_band(low)
    outside = [
        min(len(word), 25) / 10,
        min(len(core), 20) / 10,
        float(core[:1].isupper()),
        float(not core),
        float(bare.endswith(",")),
        float(bare.endswith((".", "!", "?"))),
        float(bare.endswith((";", ":"))),
        *(float(band == each) for each in range(RAREST)),
    ]
    marks = [
        float(word[:1] in _OPENING),
        float(word[-1:] in _CLOSING),
        float(any(mark in core for mark in _JOINERS)),
        float(any(mark in core for mark in _APOSTROPHES)),
    ]
    return (*outside, *_describe_letters(core, low), *marks), _hash_letter_groups(low)


def _hash_letter_groups(low: str) -> tuple[int, ...]:
    framed = f"^{low[:40]}$".encode("utf-32-le", "surrogatepass")  # four bytes a letter, whatever the script
    groups = {framed[at : at + 4 * size] for size in _GROUPS for at in range(0, len(framed) - 4 * size + 1, 4)}
    return tuple(sorted({zlib.crc32(group) % BUCKETS for group in groups}))


def _describe_letters(core: str, low: str) -> list[float]:
    """Return the features of a word's letters, without outer punctuation, as written and in lower case."""
    letters = max(len(core), 1)
    return [
        min(len(core), 20) ** 2 / 100,
        float(len(core) <= 3),
        min(len(re.findall(r"[aeiouy]+", low)), 8) / 4,  # about the number of syllables
        sum(letter in _RARE_LETTERS for letter in low) / letters,
        sum(letter in "aeiou" for letter in low) / letters,
        min(len(set(low)), 15) / 10,
        float(len(core) > 1 and core.isupper()),
        sum(letter.isdigit() for letter in core) / letters,
        float(any(letter.isdigit() for letter in core)),
        sum(not letter.isascii() for letter in core) / letters,
    ]


FORM_FEATURES = len(describe_word("a")[0])
"""Numbers that describe one word's form."""

PLACE_FEATURES = 7
"""Numbers that describe a word's place in its sentence."""


def neighbour_forms(table: WordTable, start: int, stop: int) -> NDArray[np.int64]:
    """Return the rows of `forms` at -CONTEXT..CONTEXT of the words start:stop, [stop - start, 2 * CONTEXT + 1].

    The word itself stands in the middle. Outside its sentence the row is len(forms), one after the last.
    """
    words = np.arange(start, stop)[:, None]
    wanted = words + np.arange(-CONTEXT, CONTEXT + 1)
    there = np.clip(wanted, 0, len(table.form) - 1)
    same = (there == wanted) & (table.sentence[there] == table.sentence[words])
    return np.where(same, table.form[there], len(table.forms))


def word_places(table: WordTable, start: int, stop: int) -> NDArray[np.float64]:
    """Return the place in its sentence of each of the words start:stop, [stop - start, PLACE_FEATURES]."""
    words = np.arange(start, stop)
    first = np.searchsorted(table.sentence, table.sentence[words], side="left")
    length = np.searchsorted(table.sentence, table.sentence[words], side="right") - first
    before, after = words - first, length - 1 - (words - first)
    return np.stack(
        [
            np.minimum(before, 40) / 20,
            np.minimum(after, 40) / 20,
            np.minimum(length, 60) / 30,
            before / np.maximum(length - 1, 1),
            np.log1p(np.minimum(before, 40)) / 2,
            (before == 0).astype(np.float64),
            (after == 0).astype(np.float64),
        ],
        axis=1,
    )
