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
from gazetune.eyetracking.formats.registry import LoadedRecordings, RecordingSource, recording_format
from gazetune.eyetracking.import_settings import DroppedPart
from gazetune.eyetracking.recording import (
    BOX_COLUMNS,
    DEFAULT_SCREEN,
    FIXATION_COLUMNS,
    NO_WORD,
    Fixations,
    Recording,
    ScreenSize,
    read_fixations,
    read_word_boxes,
)
from gazetune.files.delimited import TableRow, read_header, read_table

_FILE_NAME = re.compile(r"(word_cor_image_fixations|fixations_assigned)_(\d+(?:\.\d+)?)(?:\.([^.]+))?\.csv")
_WORD_COLUMNS = ("number", "text", "fix_duration", "first_fix_duration", "fix_number")
_ASSIGNED_COLUMNS = ("ID", *FIXATION_COLUMNS, "word", "word_number")


@dataclass(frozen=True, slots=True)
class _TrialFile:
    """One file of a trial, and what its name and folder say."""

    path: Path
    has_words: bool
    """Whether it has the words of the screen, or else one reader's fixations."""
    trial: str
    reader: str


@recording_format(
    "oasst_etc", files="word_cor_image_fixations_*.csv and fixations_assigned_*.csv of OASST-ETC", precedence=10
)
def read_oasst_etc(source: RecordingSource) -> LoadedRecordings:
    """Return the recordings of all trials that the experimenters did not discard.

    Raises
    ------
    InputError
        If a file is wrong (see `read_trial`).
    """
    loaded = LoadedRecordings()
    for files in find_trials(source.find_files("*.csv")):
        recording = read_trial(files, source.settings.screen or DEFAULT_SCREEN)
        discarded = find_discarded(files[0], recording.trial)
        if discarded is None:
            loaded.recordings.append(recording)
        else:
            reason = f"discarded by the experimenters ({discarded})"
            loaded.dropped.append(DroppedPart("recording", str(files[0]), reason))
    return loaded


def find_trials(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Return the files of each trial and reader: words, assigned fixations, or words and assigned fixations.

    Files with other names are left out.
    """
    trials: dict[tuple[Path, str, str], list[_TrialFile]] = {}
    for path in paths:
        file = _parse_name(path)
        if file is not None:
            trials.setdefault((path.parent, file.trial, file.reader), []).append(file)
    return [
        tuple(each.path for each in sorted(files, key=lambda each: not each.has_words)) for files in trials.values()
    ]


def read_trial(files: Sequence[Path], screen: ScreenSize) -> Recording:
    """Read the files of one trial, as `find_trials` groups them.

    Raises
    ------
    InputError
        If a column is missing, a value is no number or negative, a box leaves the screen, or words and fixations of
        the trial contradict each other.
    """
    parsed = [found for found in map(_parse_name, files) if found is not None]
    if not parsed[0].has_words:
        return _read_assigned_alone(parsed[0])
    words = _read_words(parsed[0], screen)
    return words if len(parsed) == 1 else _add_assigned(words, parsed[1].path)


def find_discarded(path: Path, trial: str) -> str | None:
    """Return where `info.csv` of the session says that the experimenters discarded the trial, None if it does not."""
    for folder in (path.parent, path.parent.parent):
        info = folder / "info.csv"
        if info.is_file() and {"trial", "discarted"} <= set(read_header(info)):  # spelt so in the published files
            for row in read_table(info, ("trial", "discarted")):
                if row.values["trial"] == trial and row.values["discarted"] == "True":
                    return row.origin
    return None


def _parse_name(path: Path) -> _TrialFile | None:
    found = _FILE_NAME.fullmatch(path.name)
    if found is None:
        return None
    participants = [parent.name for parent in path.parents if parent.name.startswith("participant_")]
    reader = participants[0] if participants else found[3] or path.parent.name
    return _TrialFile(path, found[1].startswith("word"), found[2], reader)


def _read_words(file: _TrialFile, screen: ScreenSize) -> Recording:
    rows = read_table(file.path, _WORD_COLUMNS)
    for index, row in enumerate(rows):
        if row.get_int("number") != index:
            raise InputError(f"{row.origin}: number: '{row.values['number']}'; accepted: {index}, the word's place")
    totals = np.array(
        [
            [row.get_float("fix_number", 0.0), row.get_seconds("first_fix_duration"), row.get_seconds("fix_duration")]
            for row in rows
        ]
    )
    words, origins = tuple(row.get_word("text") for row in rows), tuple(row.origin for row in rows)
    if not set(BOX_COLUMNS) <= set(rows[0].values):
        return Recording(file.path, file.reader, file.trial, words, origins, True, averages=totals)
    fixations, assigned, estimated = _read_scanpath(rows)
    return Recording(
        file.path,
        file.reader,
        file.trial,
        words,
        origins,
        True,
        read_word_boxes(rows, screen),
        fixations,
        assigned,
        estimated=estimated,
    )


def _read_scanpath(rows: Sequence[TableRow]) -> tuple[Fixations, NDArray[np.int64], bool]:
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
        if len(ids) != row.get_int("fix_number"):
            raise InputError(
                f"{row.origin}: fix_number: '{row.values['fix_number']}'; accepted: {len(ids)}, "
                "the number of ids in fixations"
            )
        if not ids:
            continue
        first, total = row.get_float("first_fix_duration", 0.0), row.get_float("fix_duration", 0.0)
        if total < first:
            raise InputError(
                f"{row.origin}: fix_duration: '{total:g}'; accepted: at least first_fix_duration {first:g}"
            )
        rest = (total - first) / (len(ids) - 1) if len(ids) > 1 else 0.0
        estimated |= len(ids) > 2
        for rank, number in enumerate(sorted(ids)):
            if number in found:
                raise InputError(f"{row.origin}: fixations: {number} stands at word {found[number][0]} too")
            found[number] = word, first if rank == 0 else rest
    order = sorted(found)
    durations = np.array([found[number][1] for number in order])
    nowhere = np.full(len(order), np.nan)
    fixations = Fixations(nowhere, nowhere, durations, np.array(order, dtype=np.float64))
    return fixations, np.array([found[number][0] for number in order], dtype=np.int64), estimated


def _read_assigned(path: Path) -> tuple[list[TableRow], Fixations, NDArray[np.int64]]:
    rows = read_table(path, _ASSIGNED_COLUMNS)
    fixations = read_fixations(rows, order_column="ID")
    backward = np.flatnonzero(np.diff(fixations.start) <= 0)
    if len(backward):
        row = rows[backward[0] + 1]
        raise InputError(f"{row.origin}: ID: '{row.values['ID']}'; accepted: more than the row before has (time order)")
    words = [row.get_int("word_number") if row.values["word_number"].strip() else NO_WORD for row in rows]
    return rows, fixations, np.array(words, dtype=np.int64)


def _add_assigned(words: Recording, path: Path) -> Recording:
    """Return the words and boxes of a trial with the fixations of the file beside it."""
    rows, fixations, assigned = _read_assigned(path)
    for row, word in zip(rows, assigned.tolist(), strict=True):
        if word >= len(words.words) or (word != NO_WORD and row.get_word("word") != words.words[word]):
            raise InputError(f"{row.origin}: word_number: {word} is '{row.values['word']}', not so in {words.path}")
    return Recording(
        words.path, words.reader, words.trial, words.words, words.origins, True, words.boxes, fixations, assigned
    )


def _read_assigned_alone(file: _TrialFile) -> Recording:
    """Return a recording that knows only the words that were fixated."""
    rows, fixations, assigned = _read_assigned(file.path)
    if assigned.max() == NO_WORD:
        raise InputError(f"{rows[0].origin}: word_number: is empty in every row; accepted: the place of a word")
    words: list[str | None] = [None] * (int(assigned.max()) + 1)
    origins = [rows[0].origin] * len(words)
    for row, word in zip(rows, assigned.tolist(), strict=True):
        if word == NO_WORD:
            continue
        if words[word] not in (None, row.get_word("word")):
            raise InputError(f"{row.origin}: word: '{row.values['word']}'; accepted: '{words[word]}', as before")
        words[word], origins[word] = row.get_word("word"), row.origin
    return Recording(
        file.path,
        file.reader,
        file.trial,
        tuple(words),
        tuple(origins),
        False,
        fixations=fixations,
        assigned=assigned,
    )
