"""Sentences with measured words, read from a CSV in the format of the CMCL 2021 shared task."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError

_COLUMNS = ("sentence_id", "word", *MEASURES)


@dataclass(frozen=True, slots=True)
class ReadSentences:
    """Sentences with the mean measures of their readers."""

    texts: tuple[str, ...]
    """The words of each sentence, joined by single spaces."""
    values: NDArray[np.float64]
    """[words, 5] measures of all words in order."""


def read_sentences(path: Path) -> ReadSentences:
    """Read a CMCL-format CSV: columns sentence_id, word, nFix, FFD, GPT, TRT, fixProp; one row a word.

    The mark `<EOS>` at the end of a word is dropped. Words such as `None` or `NA` are words; an empty cell is none.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column, or a row has no word, a word with white space, a measure that is
        missing or outside 0..100, or belongs to a sentence that ended before. Rows are counted from 1 below the header.
    """
    sentences: dict[str, list[str]] = {}
    values = []
    current = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets begin a CSV with a byte-order mark
            reader = csv.DictReader(stream)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: columns missing: {', '.join(missing)}")
            for row, fields in enumerate(reader, start=1):
                word, measures = _read_row(f"{path} row {row}", fields)
                if fields["sentence_id"] != current and fields["sentence_id"] in sentences:
                    raise InputError(f"{path} row {row}: sentence_id: {fields['sentence_id']} comes in two pieces")
                current = fields["sentence_id"]
                sentences.setdefault(current, []).append(word)
                values.append(measures)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from None
    if not values:
        raise InputError(f"{path}: has no rows")
    return ReadSentences(tuple(" ".join(words) for words in sentences.values()), np.array(values))


def _read_row(place: str, fields: Mapping[str, str | None]) -> tuple[str, list[float]]:
    for name in _COLUMNS:  # None: the row ends before the column
        if not (fields[name] or "").strip():
            raise InputError(f"{place}: {name}: is empty")
    word = str(fields["word"]).replace("<EOS>", "")
    if len(word.split()) != 1 or word != word.strip():
        raise InputError(f"{place}: word: '{word}'; accepted: one word without white space")
    measures = []
    for name in MEASURES:
        try:
            measures.append(float(str(fields[name])))
        except ValueError:
            raise InputError(f"{place}: {name}: '{fields[name]}' is no number") from None
        if not 0.0 <= measures[-1] <= 100.0:
            raise InputError(f"{place}: {name}: {fields[name]}; accepted: 0 to 100")
    return word, measures
