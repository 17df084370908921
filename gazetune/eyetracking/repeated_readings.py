"""One text, one reader, several recordings: which of them count.

Two exports in one folder may be two readers or one who came twice, and a trial that was shown again may be practice, a
repeat or a glance back. The files do not say, so the user is asked; `settings.repeats` is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.import_settings import ImportReport, ImportSettings
from gazetune.eyetracking.recording import Fixations, Recording

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class MatchedRecording:
    """A recording whose text was found."""

    recording: Recording
    text: str
    spans: NDArray[np.int32]
    """[words, 2] characters (start, end) of the text that each recorded word stands for."""


def settle_repeats(
    group: Sequence[MatchedRecording], settings: ImportSettings, report: ImportReport
) -> list[MatchedRecording]:
    """Return the recordings of one text that count, each of another reader; the report names the others.

    Averages of a text that has single readers are dropped, since their mean would count readers twice. Of a reader
    whom two formats have, the first format counts.

    Raises
    ------
    InputError
        If a reader has several recordings of one format and `settings.repeats` does not say what they are.
    """
    has_single_readers = any(each.recording.averages is None for each in group)
    by_reader: dict[str, list[MatchedRecording]] = {}
    for each in group:
        recording = each.recording
        if has_single_readers and recording.averages is not None:
            reason = "averages over readers of a text that has recordings of single readers"
            report.drop_recording(recording, reason)
            continue
        by_reader.setdefault(recording.reader, []).append(each)
    kept: list[MatchedRecording] = []
    for readings in by_reader.values():
        first = readings[0]
        for each in readings[1:]:
            if each.recording.format != first.recording.format:
                _drop_later(each, report)
        kept += _settle_reader(
            [each for each in readings if each.recording.format == first.recording.format], settings, report
        )
    return kept


def _settle_reader(
    readings: Sequence[MatchedRecording], settings: ImportSettings, report: ImportReport
) -> list[MatchedRecording]:
    """Return what counts of the readings of one text by one reader, in one format."""
    first = readings[0]
    if len(readings) == 1:
        return list(readings)
    if settings.repeats == "first":
        for each in readings[1:]:
            _drop_later(each, report)
        return [first]
    if settings.repeats == "apart":
        return [
            replace(each, recording=replace(each.recording, reader=f"{first.recording.reader} #{number}"))
            if number > 1
            else each
            for number, each in enumerate(readings, start=1)
        ]
    if settings.repeats == "joined":
        joined = first
        for each in readings[1:]:
            joined = replace(joined, recording=_join(joined.recording, each.recording))
            report.recordings_joined += 1
        return [joined]
    raise _ask(first.recording, readings[1].recording, len(readings))


def _ask(first: Recording, second: Recording, count: int) -> InputError:
    where = "in the same file" if first.path == second.path else f"in {first.path}"
    times = f"read {count} times" if count > 2 else "read twice"
    more = ""
    if first.fixations is not None:
        more = ", --repeats joined (one reading)"
    if first.path != second.path and first.format in ("gazepoint", "eyelink"):
        more += ", --reader-from file (each file is a reader)"
    return InputError(
        f"{second.path}: trial {second.trial} was {times} by reader {first.reader}, before {where}; accepted: "
        f"--repeats first, --repeats apart (readers '{first.reader}' and '{first.reader} #2'){more}"
    )


def _drop_later(each: MatchedRecording, report: ImportReport) -> None:
    report.drop_recording(each.recording, f"reader {each.recording.reader} read this text before")


def _join(first: Recording, second: Recording) -> Recording:
    """Return two readings as one: that of the file whose name comes first, then the other."""
    one, two = first.fixations, second.fixations
    if one is None or two is None or not _have_same_words(first, second):
        raise InputError(
            f"{second.path}: trial {second.trial} was read before by reader {first.reader}, in {first.path}; accepted: "
            "repeats joined for fixations on the same words and boxes; first or apart for others"
        )
    return replace(
        first,
        fixations=Fixations(
            np.concatenate([one.x, two.x]),
            np.concatenate([one.y, two.y]),
            np.concatenate([one.duration, two.duration]),
            np.concatenate([one.start, two.start]),
        ),
        assigned=_concatenate(first.assigned, second.assigned),
        page_of_fixation=_concatenate(first.page_of_fixation, second.page_of_fixation),
        cross_offset=_concatenate(first.cross_offset, second.cross_offset),
        left_out=(*first.left_out, *second.left_out),
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
    )


def _have_same_words(first: Recording, second: Recording) -> bool:
    one, two = first.boxes, second.boxes
    if first.words != second.words or first.complete != second.complete or (one is None) != (two is None):
        return False
    return one is None or two is None or np.array_equal(one.corners, two.corners)


def _concatenate(left: NDArray[_T] | None, right: NDArray[_T] | None) -> NDArray[_T] | None:
    return None if left is None or right is None else np.concatenate([left, right])
