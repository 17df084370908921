"""Recordings in the files of OASST-ETC (Lopez-Cardona et al. 2025, arXiv 2503.10927).

Names end in `<prompt>.<response>`; values are separated by `;`, durations are in seconds, places in pixels.

    word_cor_image_fixations_7.2.csv               words of a screen: one reader's with boxes and lists of fixation
                                                   ids, or averages over a user set without boxes
    fixations_assigned_7.2.csv                     one reader's fixations in time order with the word of each
    info.csv                                       in the folder above: trials that the experimenters discarded

A folder `participant_*` above a file names its reader, else what follows the trial in the file's name, else the folder
(not `vertices`, which every session has). Files that the class `EyeTrackingDataImage` of eyetrackpy writes are of this
format: their ids may be `[18]`, `[18.0]` or `[np.float64(18.0)]`, ids may begin anew at each screen, boxes may hold
white space alone, and trials of `info.csv` are floating-point numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.formats.oasst_etc_ids import check_time_order, read_id, read_id_lists, read_scanpath
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

_FILE_NAME = re.compile(
    r"(word_cor_image_fixations|fixations_assigned)_(\d+(?:\.\d+)?)(?:\.([^.]+))?\.csv", re.IGNORECASE
)
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
        loaded.files.update(files)
        recording = read_trial(files, source.settings.screen or DEFAULT_SCREEN)
        discarded = find_discarded(files[0], recording.trial)
        if discarded is None:
            loaded.recordings.append(recording)
        else:
            reason = f"discarded by the experimenters ({discarded})"
            count = 0 if recording.fixations is None else len(recording.fixations)
            loaded.dropped.append(DroppedPart("recording", str(files[0]), reason, fixations=count))
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
    if len({each.has_words for each in parsed}) < len(parsed):
        raise InputError(f"{parsed[1].path}: is the second file of its kind of this trial; accepted: one of each kind")
    if not parsed[0].has_words:
        return _read_assigned_alone(parsed[0])
    assigned = parsed[1].path if len(parsed) == 2 else None
    return _read_words(parsed[0], screen, assigned)


def find_discarded(path: Path, trial: str) -> str | None:
    """Return where `info.csv` of the session says that the experimenters discarded the trial, None if it does not."""
    for folder in (path.parent, path.parent.parent):
        info = folder / "info.csv"
        if not info.is_file() or not {"trial", "discarted"} <= set(
            read_header(info)
        ):  # spelt so in the published files
            continue
        rows = read_table(info, ("trial", "discarted"))
        named = [row for row in rows if row.values["trial"].strip() == trial]
        # pandas writes 7.0 for the prompt 7 among the trials 7.1 and 7.2.
        for row in named or [row for row in rows if _is_same_number(row.values["trial"], trial)]:
            value = row.values["discarted"].strip().lower()
            if value not in ("true", "false", "1", "0", ""):
                raise InputError(f"{row.origin}: discarted: '{row.values['discarted']}'; accepted: True or False")
            if value in ("true", "1"):
                return row.origin
    return None


def _is_same_number(left: str, right: str) -> bool:
    try:
        return float(left) == float(right)
    except ValueError:
        return False


def _parse_name(path: Path) -> _TrialFile | None:
    found = _FILE_NAME.fullmatch(path.name)
    if found is None:
        return None
    participants = [parent.name for parent in path.parents if parent.name.startswith("participant_")]
    # Each session's files lie in a folder of this name, so it says nothing of the reader.
    folder = path.parent.parent if path.parent.name.lower() == "vertices" else path.parent
    reader = participants[0] if participants else found[3] or folder.name
    return _TrialFile(path, found[1].lower().startswith("word"), found[2], reader)


def _read_words(file: _TrialFile, screen: ScreenSize, assigned_path: Path | None) -> Recording:
    """Return the words of a screen, with the fixations of the file beside it or with those that the words list."""
    rows = read_table(file.path, _WORD_COLUMNS, any_case=(*_WORD_COLUMNS, *BOX_COLUMNS, "fixations", "line"))
    for index, row in enumerate(rows):
        if row.get_int("number") != index:
            raise InputError(f"{row.origin}: number: '{row.values['number']}'; accepted: {index}, the word's place")
    # Optical character recognition finds boxes of white space too. They are no words.
    kept = [index for index, row in enumerate(rows) if not row.values["text"] or row.values["text"].strip()]
    place = {number: index for index, number in enumerate(kept)}
    shown = [rows[number] for number in kept]
    if not shown:
        raise InputError(f"{rows[0].origin}: text: is white space in every row; accepted: a word")
    words, origins = tuple(row.get_word("text") for row in shown), tuple(row.origin for row in shown)
    totals = np.array(
        [
            [row.get_float("fix_number", 0.0), row.get_seconds("first_fix_duration"), row.get_seconds("fix_duration")]
            for row in rows
        ]
    )
    if not set(BOX_COLUMNS) <= set(rows[0].values):
        blank = sum(bool(totals[number].any()) for number in range(len(rows)) if number not in place)
        notes = (f"the averages of {blank} boxes of white space alone are left out",) if blank else ()
        return Recording(file.path, file.reader, file.trial, words, origins, True, averages=totals[kept], notes=notes)
    boxes = read_word_boxes(shown, screen)
    bare = Recording(file.path, file.reader, file.trial, words, origins, True, boxes)
    ids = read_id_lists(rows)
    if assigned_path is not None:
        return _add_assigned(bare, rows, place, ids, assigned_path)
    fixations, number, estimated = read_scanpath(rows, ids)
    return replace(bare, fixations=fixations, assigned=_renumber(number, place), estimated=estimated)


def _renumber(numbers: NDArray[np.int64], place: Mapping[int, int]) -> NDArray[np.int64]:
    """Return [fixations] the places of numbered words; those of boxes without text are on no word."""
    return np.array([place.get(number, NO_WORD) for number in numbers.tolist()], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _AssignedFixations:
    """What a file of assigned fixations has, but for rows that lack a position and a word."""

    rows: list[TableRow]
    fixations: Fixations
    number: NDArray[np.int64]
    """[fixations] number of the word of each, `NO_WORD` for none."""
    left_out: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]


def _read_assigned(path: Path) -> _AssignedFixations:
    all_rows = read_table(path, _ASSIGNED_COLUMNS, any_case=_ASSIGNED_COLUMNS)
    rows = [row for row in all_rows if any(row.values[name].strip() for name in ("x", "y", "word_number"))]
    if not rows:
        raise InputError(f"{all_rows[0].origin}: x, y and word_number: are empty in every row; accepted: fixations")
    left_out = (("without a position", len(all_rows) - len(rows)),) if len(rows) < len(all_rows) else ()
    fixations = read_fixations(rows)
    ids = np.array([read_id(row, "ID") for row in rows])
    notes = check_time_order(rows, ids)
    if not notes:
        fixations = replace(fixations, start=ids.astype(np.float64))
    numbers = [read_id(row, "word_number") if row.values["word_number"].strip() else NO_WORD for row in rows]
    return _AssignedFixations(rows, fixations, np.array(numbers, dtype=np.int64), left_out, notes)


def _add_assigned(
    words: Recording,
    word_rows: Sequence[TableRow],
    place: Mapping[int, int],
    id_lists: Sequence[list[int]],
    path: Path,
) -> Recording:
    """Return the words and boxes of a trial with the fixations of the file beside it."""
    found = _read_assigned(path)
    for row, number in zip(found.rows, found.number.tolist(), strict=True):
        known = number == NO_WORD or (number < len(word_rows) and number not in place)
        if not known and (number >= len(word_rows) or row.get_word("word") != words.words[place[number]]):
            raise InputError(f"{row.origin}: word_number: {number} is '{row.values['word']}', not so in {words.path}")
    notes = found.notes
    counted = np.bincount(found.number[found.number != NO_WORD], minlength=len(word_rows))
    differing = sum(len(ids) != count for ids, count in zip(id_lists, counted.tolist(), strict=True))
    if differing:
        notes = (*notes, f"counts other fixations than {path.name} on {differing} words; those of the latter are used")
    return replace(
        words,
        fixations=found.fixations,
        assigned=_renumber(found.number, place),
        left_out=found.left_out,
        notes=notes,
    )


def _read_assigned_alone(file: _TrialFile) -> Recording:
    """Return a recording that knows only the words that were fixated."""
    found = _read_assigned(file.path)
    if found.number.max() == NO_WORD:
        raise InputError(f"{found.rows[0].origin}: word_number: is empty in every row; accepted: the place of a word")
    words: list[str | None] = [None] * (int(found.number.max()) + 1)
    origins = [found.rows[0].origin] * len(words)
    for row, word in zip(found.rows, found.number.tolist(), strict=True):
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
        fixations=found.fixations,
        assigned=found.number,
        left_out=found.left_out,
        notes=found.notes,
    )
