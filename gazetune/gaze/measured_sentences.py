"""Sentences with measured words, read from a CSV in the format of the CMCL 2021 shared task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.files.delimited import TableRow, read_table

_COLUMNS = ("sentence_id", "word", *MEASURES)


@dataclass(frozen=True, slots=True)
class MeasuredSentences:
    """Sentences with the mean measures of their readers."""

    texts: tuple[str, ...]
    """The words of each sentence, joined by single spaces."""
    values: NDArray[np.float64]
    """[words, 5] measures of all words in order."""


def read_measured_sentences(path: Path) -> MeasuredSentences:
    """Read a CMCL-format CSV: columns sentence_id, word, nFix, FFD, GPT, TRT, fixProp; one row a word.

    The mark `<EOS>` at the end of a word is dropped. `None` and `NA` are words like others; an empty cell is no word.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column (see `read_table`), or a row has no word, a word with white space,
        a measure that is missing or outside 0..100, or belongs to a sentence that ended before. Rows are counted from 1
        below the header.
    """
    sentences: dict[str, list[str]] = {}
    values = []
    current = None
    for row in read_table(path, _COLUMNS):
        word, measures = _read_row(row)
        sentence = row.values["sentence_id"]
        if sentence != current and sentence in sentences:
            raise InputError(f"{row.origin}: sentence_id: {sentence} comes in two pieces")
        current = sentence
        sentences.setdefault(sentence, []).append(word)
        values.append(measures)
    return MeasuredSentences(tuple(" ".join(words) for words in sentences.values()), np.array(values))


def _read_row(row: TableRow) -> tuple[str, list[float]]:
    for name in _COLUMNS:
        if not row.values[name].strip():
            raise InputError(f"{row.origin}: {name}: is empty")
    word = row.values["word"].replace("<EOS>", "")
    if len(word.split()) != 1 or word != word.strip():
        raise InputError(f"{row.origin}: word: '{word}'; accepted: one word without white space")
    measures = []
    for name in MEASURES:
        try:
            measures.append(float(row.values[name]))
        except ValueError:
            raise InputError(f"{row.origin}: {name}: '{row.values[name]}' is no number") from None
        if not 0.0 <= measures[-1] <= 100.0:
            raise InputError(f"{row.origin}: {name}: {row.values[name]}; accepted: 0 to 100")
    return word, measures
