"""A folder of recordings to the Parquet file that the predictor `recorded` reads.

    recordings --> text of each --> units shared by all readers --> word of each fixation --> measures --> Parquet
    (formats/)     (align_text)     (align_text)                    (assign_words)            (reading_measures)

Every file is read and every text found before anything is written; the report and the Parquet file then appear whole.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.eyetracking.align_text import ShownTexts, align_words, find_common_units
from gazetune.eyetracking.assign_words import ASSIGNMENT_METHODS, assign_after_cross
from gazetune.eyetracking.import_settings import DroppedPart, ImportReport, ImportSettings
from gazetune.eyetracking.read_recordings import read_recordings
from gazetune.eyetracking.reading_measures import convert_to_cmcl, measure_words, merge_averages, merge_measures
from gazetune.eyetracking.recording import DEFAULT_SCREEN, NO_WORD, Fixations, Recording, WordBoxes
from gazetune.eyetracking.repeated_readings import MatchedRecording, settle_repeats
from gazetune.files.atomic_write import write_files_atomically
from gazetune.gaze.words import text_key

RECORDED_SCHEMA = pa.schema(
    [
        ("text_sha256", pa.string()),
        ("reader", pa.string()),
        ("word", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        *((name, pa.float64()) for name in MEASURES),
    ]
)
"""Columns of a file of recorded gaze."""

_Row = dict[str, str | int | float]
"""A row of the Parquet file."""


def import_recordings(
    source: Path, texts: Sequence[str], out: Path, settings: ImportSettings | None = None
) -> ImportReport:
    """Write the reading measures of all recordings under `source` to the Parquet file `out`.

    Parameters
    ----------
    source
        Where the recordings are, as `read_recordings` takes it.
    texts
        Texts that may have been read. A recording finds its own by its words.
    out
        The Parquet file; the report lies beside it as `<out>.report.json`.

    Raises
    ------
    InputError
        If a file is wrong, a recording's words are no text (unless `skip_unmatched`), nothing is left, or `out` cannot
        be written. Nothing is written then.
    """
    settings = settings or ImportSettings()
    loaded = read_recordings(source, settings)
    report = ImportReport(str(out), settings.units, dropped=loaded.dropped, notes=loaded.notes)
    _count_what_was_read(loaded.recordings, report)
    if settings.assign == "cross":
        _check_crosses(source, loaded.recordings, settings)
    by_text: dict[str, list[MatchedRecording]] = {}
    for each in _match_texts(loaded.recordings, texts, settings, report):
        by_text.setdefault(each.text, []).append(each)
    rows: list[_Row] = []
    for text, group in by_text.items():
        rows += _measure_text(text, settle_repeats(group, settings, report), settings, report)
    if not rows:
        first = next((each for each in report.dropped if each.what == "recording"), report.dropped[0])
        raise InputError(f"{source}: no recording can be used; the first: {first.source}: {first.reason}")
    report.rows = len(rows)
    report.texts = len({row["text_sha256"] for row in rows})
    report.readers = len({row["reader"] for row in rows})
    _write_files(out, rows, report)
    return report


def _match_texts(
    recordings: Sequence[Recording], texts: Sequence[str], settings: ImportSettings, report: ImportReport
) -> list[MatchedRecording]:
    shown = ShownTexts(texts)
    matched = []
    for recording in recordings:
        try:
            text = shown.find_text(recording)
            matched.append(MatchedRecording(recording, text, align_words(recording, text)))
        except InputError as error:
            if not settings.skip_unmatched:
                raise
            report.drop_recording(recording, str(error))
    return matched


def _count_what_was_read(recordings: Sequence[Recording], report: ImportReport) -> None:
    """Count the recordings and fixations that the files have, before any is dropped but by the formats."""
    for recording in recordings:
        lines = [DroppedPart("fixations", recording.label, reason, count) for reason, count in recording.left_out]
        report.dropped += lines
        report.notes += [f"{recording.label}: trial {recording.trial}: {note}" for note in recording.notes]
    dropped = [each for each in report.dropped if each.what == "recording"]
    report.recordings_read = len(recordings) + len(dropped)
    report.fixations_read = sum(recording.fixation_count for recording in recordings)
    report.fixations_read += sum(each.fixations for each in dropped)
    report.fixations_read += sum(each.count for each in report.dropped if each.what == "fixations")


def _check_crosses(source: Path, recordings: Sequence[Recording], settings: ImportSettings) -> None:
    if not any(each.cross_offset is not None and np.isfinite(each.cross_offset).any() for each in recordings):
        raise InputError(
            f"{source}: assign: cross; accepted: recordings with a fixation on the screen '{settings.cross}' before a "
            "trial (--cross names another)"
        )


def _measure_text(
    text: str, group: Sequence[MatchedRecording], settings: ImportSettings, report: ImportReport
) -> list[_Row]:
    """Return the rows of one text: its units, the same for all of its readers."""
    units, unit_of_character = find_common_units(text, [each.spans for each in group])
    rows: list[_Row] = []
    for each in group:
        # A word lies in the unit of its first character; no unit divides a recorded word.
        unit_of_word = unit_of_character[each.spans[:, 0]]
        values = _measure_recording(each.recording, unit_of_word, len(units), settings, report)
        if values is None:
            continue
        if settings.units == "cmcl":
            values = convert_to_cmcl(values)
        report.recordings += 1
        for (start, end), measures in zip(units.tolist(), values.tolist(), strict=True):
            rows.append(
                {
                    "text_sha256": text_key(text).hex(),
                    "reader": each.recording.reader,
                    "word": text[start:end],
                    "start": start,
                    "end": end,
                    **dict(zip(MEASURES, measures, strict=True)),
                }
            )
    return rows


def _measure_recording(
    recording: Recording, unit_of_word: NDArray[np.int64], units: int, settings: ImportSettings, report: ImportReport
) -> NDArray[np.float64] | None:
    """Return [units, 5] in fixations, ms and percent; None, and a line in the report, for a dropped recording."""
    if recording.averages is not None:
        report.notes.append(f"{recording.label}: averages over readers have no GPT and no fixProp; both are 0")
        return merge_averages(recording.averages, unit_of_word, units)
    if recording.measures is not None:
        # The limits ask for the words of fixations; of measures only the number of fixations is known.
        count = int(recording.measures[:, 0].sum())
        if settings.first_pass_only:
            raise InputError(f"{recording.path}: has measures; accepted: first_pass_only with fixations")
        if not _keeps_limits(recording, np.zeros(count, dtype=np.int64), settings, report):
            return None
        report.fixations += count
        return merge_measures(recording.measures, unit_of_word, units)
    if recording.fixations is None:
        raise ValueError(f"{recording.label}: a recording has averages, measures or fixations")
    return _measure_fixations(recording, recording.fixations, unit_of_word, units, settings, report)


def _measure_fixations(
    recording: Recording,
    fixations: Fixations,
    unit_of_word: NDArray[np.int64],
    units: int,
    settings: ImportSettings,
    report: ImportReport,
) -> NDArray[np.float64] | None:
    """Return what `_measure_recording` does, from fixations: those on the screen, on words, on units."""
    width, height = recording.screen or settings.screen or DEFAULT_SCREEN
    on_screen = fixations.are_on_screen((width, height * recording.page_count))
    word = _find_words(recording, fixations, on_screen, settings, report)
    off_screen, on_no_word = int((~on_screen).sum()), int((word == NO_WORD).sum())
    for reason, count in (("off the screen", off_screen), ("on no word", on_no_word)):
        if count:
            report.dropped.append(DroppedPart("fixations", recording.label, reason, count))
    if not _keeps_limits(recording, word, settings, report):
        return None
    if recording.estimated:
        note = "some durations are known by their sum only, so GPT of some words is estimated"
        report.notes.append(f"{recording.label}: {note}")
    report.fixations += int((word != NO_WORD).sum())
    unit = np.where(word != NO_WORD, unit_of_word[word], NO_WORD)
    return measure_words(unit, fixations.select(on_screen).duration, units, settings.first_pass_only)


def _keeps_limits(
    recording: Recording, word: NDArray[np.int64], settings: ImportSettings, report: ImportReport
) -> bool:
    """Return whether the trial can be used; if not, the report says why."""
    reason = settings.limits.reason_to_drop(word)
    if reason is not None:
        # Those on no word or off the screen have lines of their own.
        report.drop_recording(recording, reason, int((word != NO_WORD).sum()), recording.label)
    return reason is None


def _find_words(
    recording: Recording,
    fixations: Fixations,
    on_screen: NDArray[np.bool_],
    settings: ImportSettings,
    report: ImportReport,
) -> NDArray[np.int64]:
    """Return the word of each fixation on the screen, as the files have it or assigned anew."""
    # Files that have the word of each fixation may lack positions or boxes: then their words are kept in any case.
    can_assign = recording.boxes is not None and fixations.select(on_screen).have_positions
    if recording.assigned is not None and (settings.assign == "recorded" or not can_assign):
        if settings.assign != "recorded":
            report.notes.append(f"{recording.label}: has no positions or boxes, so the words of its files are kept")
        return recording.assigned[on_screen]
    if recording.boxes is None:
        raise ValueError(f"{recording.path}: a recording without assigned fixations has boxes")
    shown, boxes = _put_pages_apart(recording, fixations.select(on_screen), on_screen, settings)
    if settings.assign != "cross":
        assign = ASSIGNMENT_METHODS["corrected" if settings.assign == "recorded" else settings.assign]
        return assign(shown, boxes, settings.max_distance)
    offset = recording.cross_offset
    offset = np.full((len(shown), 2), np.nan) if offset is None else offset[on_screen]
    word, taken_out = assign_after_cross(shown, boxes, settings.max_distance, offset)
    outcome = "missing" if not np.isfinite(offset).any() else "taken_out" if taken_out else "left"
    report.cross[outcome] = report.cross.get(outcome, 0) + 1
    return word


def _put_pages_apart(
    recording: Recording, fixations: Fixations, on_screen: NDArray[np.bool_], settings: ImportSettings
) -> tuple[Fixations, WordBoxes]:
    """Return fixations and boxes with so much room between pages that no line of another page is the nearest."""
    if recording.boxes is None or recording.page_of_fixation is None or recording.page_count == 1:
        return fixations, cast(WordBoxes, recording.boxes)
    height = (recording.screen or settings.screen or DEFAULT_SCREEN)[1]
    down = 2 * height
    corners = recording.boxes.corners.copy()
    page_of_word = np.minimum(corners[:, 1] // height, recording.page_count - 1).astype(np.int64)
    corners[:, 1::2] += down * page_of_word[:, None]
    lower = (down * recording.page_of_fixation[on_screen]).astype(np.float64)
    return fixations.moved(0.0, lower), replace(recording.boxes, corners=corners, page=page_of_word)


def _write_files(out: Path, rows: Sequence[_Row], report: ImportReport) -> None:
    # Both files are made before one is written, so that a table that cannot be made leaves no report.
    table = pa.Table.from_pylist(list(rows), schema=RECORDED_SCHEMA.with_metadata({"units": report.units}))
    content = io.BytesIO()  # what pyarrow says of a file that it cannot write fills several lines
    pq.write_table(table, content)
    report_content = json.dumps(report.to_json(), indent=2) + "\n"
    try:
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        out.parent.mkdir(parents=True, exist_ok=True)
        write_files_atomically({out.with_name(f"{out.name}.report.json"): report_content, out: content.getvalue()})
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
