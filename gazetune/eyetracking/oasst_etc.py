"""Recordings in the files of OASST-ETC (Lopez-Cardona et al. 2025, arXiv 2503.10927).

Names end in `<prompt>.<response>`; values are separated by `;`, durations are in seconds, places in pixels.

    word_cor_image_fixations_7.2.csv               words of a screen: one reader's with boxes and lists of fixation
                                                   ids, or averages over a user set without boxes
    fixations_assigned_7.2.csv                     one reader's fixations in time order with the word of each
    info.csv                                       in the folder above: trials that the experimenters discarded

A folder `participant_*` above a file names its reader, else what follows the trial in the file's name, else the folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.assign import NO_WORD
from gazetune.eyetracking.fixations import BOX_COLUMNS, Fixations, Recording, read_boxes
from gazetune.files.delimited import TableRow, header_of, read_table

_NAME = re.compile(r"(word_cor_image_fixations|fixations_assigned)_(\d+(?:\.\d+)?)(?:\.([^.]+))?\.csv")
_WORDS = ("number", "text", "fix_duration", "first_fix_duration", "fix_number")
_ASSIGNED = ("ID", "x", "y", "duration", "word", "word_number")


@dataclass(frozen=True, slots=True)
class _Named:
    path: Path
    is_words: bool
    trial: str
    reader: str


def find_trials(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Return the files of each trial and reader: words, assigned fixations, or words and assigned fixations.

    Files with other names are left out.
    """
    trials: dict[tuple[Path, str, str], list[_Named]] = {}
    for path in paths:
        named = _named(path)
        if named is not None:
            trials.setdefault((path.parent, named.trial, named.reader), []).append(named)
    return [tuple(each.path for each in sorted(files, key=lambda each: not each.is_words)) for files in trials.values()]


def read_trial(files: Sequence[Path], screen: tuple[int, int]) -> Recording:
    """Read the files of one trial, as `find_trials` groups them.

    Raises
    ------
    InputError
        If a column is missing, a value is no number or negative, a box leaves the screen, or words and fixations of
        the trial contradict each other.
    """
    named = [found for found in map(_named, files) if found is not None]
    if not named[0].is_words:
        return _read_assigned_alone(named[0])
    words = _read_words(named[0], screen)
    return words if len(named) == 1 else _with_assigned(words, named[1].path)


def discarded_by(path: Path, trial: str) -> str | None:
    """Return where `info.csv` of the session says that the experimenters discarded the trial, None if it does not."""
    for folder in (path.parent, path.parent.parent):
        info = folder / "info.csv"
        if info.is_file() and {"trial", "discarted"} <= set(header_of(info)):  # spelt so in the published files
            for row in read_table(info, ("trial", "discarted")):
                if row.values["trial"] == trial and row.values["discarted"] == "True":
                    return row.place
    return None


def _named(path: Path) -> _Named | None:
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    above = [parent.name for parent in path.parents if parent.name.startswith("participant_")]
    reader = above[0] if above else found[3] or path.parent.name
    return _Named(path, found[1].startswith("word"), found[2], reader)


def _read_words(named: _Named, screen: tuple[int, int]) -> Recording:
    rows = read_table(named.path, _WORDS)
    for index, row in enumerate(rows):
        if row.int("number") != index:
            raise InputError(f"{row.place}: number: '{row.values['number']}'; accepted: {index}, the word's place")
    totals = np.array(
        [[row.float("fix_number", 0.0), row.seconds("first_fix_duration"), row.seconds("fix_duration")] for row in rows]
    )
    words, places = tuple(row.word("text") for row in rows), tuple(row.place for row in rows)
    if not set(BOX_COLUMNS) <= set(rows[0].values):
        return Recording(named.path, named.reader, named.trial, words, places, True, averages=totals)
    fixations, assigned, estimated = _scanpath(rows)
    return Recording(
        named.path,
        named.reader,
        named.trial,
        words,
        places,
        True,
        read_boxes(rows, screen),
        fixations,
        assigned,
        estimated=estimated,
    )


def _scanpath(rows: Sequence[TableRow]) -> tuple[Fixations, NDArray[np.int64], bool]:
    """Return the fixations that the words list by id, in the order of the ids, which is that of time.

    The file has the duration of a word's first fixation and the sum of all. So one or two fixations are known exactly;
    of three or more the later ones get equal parts.
    """
    found: dict[int, tuple[int, float]] = {}
    estimated = False
    for word, row in enumerate(rows):
        if "fixations" not in row.values:
            raise InputError(f"{row.path} row 1: column 'fixations' is missing; it has {', '.join(row.values)}")
        ids = [int(number) for number in re.findall(r"\d+", row.values["fixations"])]
        if len(ids) != row.int("fix_number"):
            raise InputError(
                f"{row.place}: fix_number: '{row.values['fix_number']}'; accepted: {len(ids)}, "
                "the number of ids in fixations"
            )
        if not ids:
            continue
        first, total = row.float("first_fix_duration", 0.0), row.float("fix_duration", 0.0)
        if total < first:
            raise InputError(f"{row.place}: fix_duration: '{total:g}'; accepted: at least first_fix_duration {first:g}")
        rest = (total - first) / (len(ids) - 1) if len(ids) > 1 else 0.0
        estimated |= len(ids) > 2
        for rank, number in enumerate(sorted(ids)):
            if number in found:
                raise InputError(f"{row.place}: fixations: {number} stands at word {found[number][0]} too")
            found[number] = word, first if rank == 0 else rest
    order = sorted(found)
    durations = np.array([found[number][1] for number in order])
    nowhere = np.full(len(order), np.nan)
    fixations = Fixations(nowhere, nowhere, durations, np.array(order, dtype=np.float64))
    return fixations, np.array([found[number][0] for number in order], dtype=np.int64), estimated


def _read_assigned(path: Path) -> tuple[list[TableRow], Fixations, NDArray[np.int64]]:
    rows = read_table(path, _ASSIGNED)
    x, y, order = (np.array([row.float(name) for row in rows]) for name in ("x", "y", "ID"))
    durations = np.array([row.seconds("duration") for row in rows])
    back = np.flatnonzero(np.diff(order) <= 0)
    if len(back):
        row = rows[back[0] + 1]
        raise InputError(f"{row.place}: ID: '{row.values['ID']}'; accepted: more than the row before has (time order)")
    words = [row.int("word_number") if row.values["word_number"].strip() else NO_WORD for row in rows]
    return rows, Fixations(x, y, durations, order), np.array(words, dtype=np.int64)


def _with_assigned(words: Recording, path: Path) -> Recording:
    """Return the words and boxes of a trial with the fixations of the file beside it."""
    rows, fixations, assigned = _read_assigned(path)
    for row, word in zip(rows, assigned.tolist(), strict=True):
        if word >= len(words.words) or (word != NO_WORD and row.word("word") != words.words[word]):
            raise InputError(f"{row.place}: word_number: {word} is '{row.values['word']}', not so in {words.path}")
    return Recording(
        words.path, words.reader, words.trial, words.words, words.places, True, words.boxes, fixations, assigned
    )


def _read_assigned_alone(named: _Named) -> Recording:
    """Return a recording that knows only the words that were fixated."""
    rows, fixations, assigned = _read_assigned(named.path)
    if assigned.max() == NO_WORD:
        raise InputError(f"{rows[0].place}: word_number: is empty in every row; accepted: the place of a word")
    words: list[str | None] = [None] * (int(assigned.max()) + 1)
    places = [rows[0].place] * len(words)
    for row, word in zip(rows, assigned.tolist(), strict=True):
        if word == NO_WORD:
            continue
        if words[word] not in (None, row.word("word")):
            raise InputError(f"{row.place}: word: '{row.values['word']}'; accepted: '{words[word]}', as before")
        words[word], places[word] = row.word("word"), row.place
    return Recording(
        named.path,
        named.reader,
        named.trial,
        tuple(words),
        tuple(places),
        False,
        fixations=fixations,
        assigned=assigned,
    )
