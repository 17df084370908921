"""A folder of recordings to the Parquet file that the predictor `recorded` reads.

Every file is read and every text found before anything is written; the report and the Parquet file then appear whole.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.eyetracking.align_text import align_words, common_units, find_text, fold
from gazetune.eyetracking.assign import assign_corrected, assign_nearest, on_screen
from gazetune.eyetracking.fixations import Fixations, Recording
from gazetune.eyetracking.import_settings import DEFAULT_SCREEN, Dropped, ImportReport, ImportSettings
from gazetune.eyetracking.pymovements.tables import measures_of_units
from gazetune.eyetracking.reading_measures import measure_words, to_cmcl_scale
from gazetune.eyetracking.recordings import read_recordings
from gazetune.gaze.words import text_key

_SCHEMA = pa.schema(
    [
        ("text_sha256", pa.string()),
        ("reader", pa.string()),
        ("word", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        *((name, pa.float64()) for name in MEASURES),
    ]
)


@dataclass(frozen=True, slots=True)
class _Matched:
    recording: Recording
    text: str
    spans: NDArray[np.int32]


def import_recordings(
    source: Path, texts: Sequence[str], out: Path, settings: ImportSettings | None = None
) -> ImportReport:
    """Write the reading measures of all recordings under `source` to the Parquet file `out`.

    Parameters
    ----------
    source
        Where the recordings are, as `recordings.read_recordings` takes it.
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
    report = ImportReport(str(out), settings.units)
    recordings = read_recordings(source, settings, report)
    matched = _match(recordings, texts, settings, report)
    by_text: dict[str, list[_Matched]] = {}
    for each in matched:
        by_text.setdefault(each.text, []).append(each)
    rows: list[dict[str, Any]] = []
    for text, group in by_text.items():
        rows += _measure_text(text, _usable(group, report), settings, report)
    if not rows:
        first = next((each for each in report.dropped if each.what == "recording"), report.dropped[0])
        raise InputError(f"{source}: no recording can be used; the first: {first.source}: {first.reason}")
    report.rows = len(rows)
    report.texts = len({row["text_sha256"] for row in rows})
    report.readers = len({row["reader"] for row in rows})
    _write(out, rows, report)
    return report


def _match(
    recordings: Sequence[Recording], texts: Sequence[str], settings: ImportSettings, report: ImportReport
) -> list[_Matched]:
    distinct = [text for text in dict.fromkeys(texts) if text.strip()]
    folded = {fold(text): text for text in reversed(distinct)}
    matched = []
    for recording in recordings:
        try:
            text = find_text(recording, distinct, folded)
            matched.append(_Matched(recording, text, align_words(recording, text)))
        except InputError as error:
            if not settings.skip_unmatched:
                raise
            report.dropped.append(Dropped("recording", str(recording.path), str(error)))
    return matched


def _usable(group: Sequence[_Matched], report: ImportReport) -> list[_Matched]:
    """Drop averages of a text that has single readers, whose mean would count readers twice, and second readings."""
    single = any(each.recording.averages is None for each in group)
    readers: set[str] = set()
    kept = []
    for each in group:
        recording = each.recording
        if single and recording.averages is not None:
            reason = "averages over readers of a text that has recordings of single readers"
        elif recording.reader in readers:
            reason = f"reader {recording.reader} read this text before"
        else:
            readers.add(recording.reader)
            kept.append(each)
            continue
        report.dropped.append(Dropped("recording", str(recording.path), reason))
    return kept


def _measure_text(
    text: str, group: Sequence[_Matched], settings: ImportSettings, report: ImportReport
) -> list[dict[str, Any]]:
    """Return the rows of one text: its units, the same for all of its readers."""
    units, unit_of_character = common_units(text, [each.spans for each in group])
    rows = []
    for each in group:
        unit = unit_of_character[each.spans[:, 0]]
        values = _measures(each.recording, unit, len(units), settings, report)
        if values is None:
            continue
        if settings.units == "cmcl":
            values = to_cmcl_scale(values)
        report.recordings += 1
        for (start, end), measures in zip(units.tolist(), values.tolist(), strict=True):
            row = dict(zip(MEASURES, measures, strict=True))
            rows.append(
                {
                    "text_sha256": text_key(text).hex(),
                    "reader": each.recording.reader,
                    "word": text[start:end],
                    "start": start,
                    "end": end,
                    **row,
                }
            )
    return rows


def _measures(
    recording: Recording, unit: NDArray[np.int64], units: int, settings: ImportSettings, report: ImportReport
) -> NDArray[np.float64] | None:
    """Return [units, 5] in fixations, ms and percent; None, and a line in the report, for a dropped recording."""
    place = f"{recording.path} ({recording.reader})"
    if recording.averages is not None:
        report.notes.append(f"{place}: averages over readers have no GPT and no fixProp; both are 0")
        return _from_averages(recording.averages, unit, units)
    if recording.measures is not None:
        return _from_measures(recording, recording.measures, unit, units, settings, report)
    if recording.fixations is None:
        raise ValueError(f"{place}: a recording has averages, measures or fixations")
    width, height = recording.screen or settings.screen or DEFAULT_SCREEN
    keep = on_screen(recording.fixations, (width, height * recording.pages))
    fixations = recording.fixations.select(keep)
    word = _words_of(recording, fixations, keep, settings)
    for reason, count in (("off the screen", int((~keep).sum())), ("on no word", int((word < 0).sum()))):
        if count:
            report.dropped.append(Dropped("fixations", place, reason, count))
    refusal = settings.gates.refusal(word)
    if refusal is not None:
        report.dropped.append(Dropped("recording", place, refusal))
        return None
    if recording.estimated:
        report.notes.append(f"{place}: some durations are known by their sum only, so GPT of some words is estimated")
    report.fixations += int((word >= 0).sum())
    on_unit = np.where(word >= 0, unit[word], -1)
    return measure_words(on_unit, fixations.duration, units, settings.first_pass_only)


def _from_measures(
    recording: Recording,
    measures: NDArray[np.float64],
    unit: NDArray[np.int64],
    units: int,
    settings: ImportSettings,
    report: ImportReport,
) -> NDArray[np.float64] | None:
    """Return [units, 5] of a trial whose files have measures; None, and a line in the report, for too few fixations."""
    if settings.first_pass_only:
        raise InputError(f"{recording.path}: has measures; accepted: first_pass_only with fixations")
    count = int(measures[:, 0].sum())
    refusal = settings.gates.refusal(np.zeros(count, dtype=np.int64))
    if refusal is not None:
        report.dropped.append(Dropped("recording", f"{recording.path} ({recording.reader})", refusal))
        return None
    report.fixations += count
    return measures_of_units(measures, unit, units)


def _words_of(
    recording: Recording, fixations: Fixations, keep: NDArray[np.bool_], settings: ImportSettings
) -> NDArray[np.int64]:
    can_assign = recording.boxes is not None and fixations.located
    if recording.assigned is not None and (settings.assign == "recorded" or not can_assign):
        return recording.assigned[keep]
    if recording.boxes is None:
        raise ValueError(f"{recording.path}: a recording without assigned fixations has boxes")
    assign = assign_nearest if settings.assign == "nearest" else assign_corrected
    return assign(fixations, recording.boxes, settings.max_distance)


def _from_averages(averages: NDArray[np.float64], unit: NDArray[np.int64], units: int) -> NDArray[np.float64]:
    """Return [units, 5]; counts and total times of boxes in one unit are added, FFD is that of the first fixated."""
    values = np.zeros((units, len(MEASURES)))
    np.add.at(values[:, 0], unit, averages[:, 0])
    np.add.at(values[:, 3], unit, averages[:, 2] * 1000.0)
    for box in np.flatnonzero(averages[:, 1])[::-1]:
        values[unit[box], 1] = averages[box, 1] * 1000.0
    return values


def _write(out: Path, rows: Sequence[dict[str, Any]], report: ImportReport) -> None:
    table = pa.Table.from_pylist(list(rows), schema=_SCHEMA.with_metadata({"units": report.units}))
    content = io.BytesIO()  # what pyarrow says of a file that it cannot write fills several lines
    pq.write_table(table, content)
    parts = (out.with_name(f".{out.name}.{os.getpid()}.part"), out.with_name(f".{out.name}.{os.getpid()}.report"))
    try:
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            parts[0].write_bytes(content.getvalue())
            parts[1].write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
            os.replace(parts[1], out.with_name(f"{out.name}.report.json"))
            os.replace(parts[0], out)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
