"""The fixations of one file that pymovements read, to recordings: one a reading, its pages below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.formats.registry import LoadedRecordings, RecordingSource
from gazetune.eyetracking.import_settings import DroppedPart
from gazetune.eyetracking.pymovements.gaze import ReaderFixations
from gazetune.eyetracking.split_readings import PageShowing, describe_overlaps, describe_page_turns, split_readings
from gazetune.eyetracking.stimulus_pages import StimulusPage, find_stimulus_page, join_pages

_OUTSIDE = "outside of the trials"
_ELSEWHERE = "on a screen without word boxes"
_LOST = "without samples"
_ON_CROSS = "on the cross before a trial"
_OFF_SCREEN = "off the screen"


def split_trials(
    found: ReaderFixations, source: RecordingSource, pages: Mapping[str, StimulusPage]
) -> LoadedRecordings:
    """Return the readings of one reader, and what of the fixations was left out.

    Raises
    ------
    InputError
        If there are no word boxes at all, or none of the screen of a fixation (unless `skip_unmatched`), or if a box
        leaves the screen.
    """
    if not pages:
        raise InputError(
            f"{found.path}: no word boxes in {source.words_folder}; accepted: TRIAL.csv there with text, x1, y1, "
            "x2, y2, or --words DIR"
        )
    page_of = {name: _find_page(name, found, source, pages) for name in dict.fromkeys(found.page_names)}
    lost = ~(np.isfinite(found.fixations.x) & np.isfinite(found.fixations.y))
    on_screen = found.fixations.are_on_screen(found.screen)
    counts = {**dict.fromkeys((_OUTSIDE, _ELSEWHERE, _ON_CROSS, _LOST, _OFF_SCREEN), 0), **dict(found.left_out)}
    kept: list[tuple[int, StimulusPage]] = []
    for index, name in enumerate(found.page_names):
        page = page_of[name]
        if name is None:
            counts[_OUTSIDE] += 1
        elif page is None:
            counts[_ON_CROSS if source.settings.is_cross(name) else _ELSEWHERE] += 1
        elif lost[index]:
            counts[_LOST] += 1
        elif not on_screen[index]:
            counts[_OFF_SCREEN] += 1
        else:
            kept.append((index, page))
    label = f"{found.path} ({found.reader})"
    loaded = LoadedRecordings()
    for note in (found.note, *found.notes):
        loaded.add_note(note)
    loaded.dropped += [DroppedPart("fixations", label, reason, count) for reason, count in counts.items() if count]
    cross_offset = _find_cross_offsets(found, source)
    for (trial, reading), members, notes in _group_readings(found, kept, pages):
        indices = np.array([index for index, _ in members], dtype=np.int64)
        loaded.recordings.append(
            join_pages(
                found.path,
                found.reader,
                trial,
                pages,
                found.screen,
                found.fixations.select(indices),
                np.array([page.number for _, page in members], dtype=np.int64),
                reading,
                cross_offset[indices],
                [*notes, *_describe_overlaps(found, indices)],
            )
        )
    return loaded


def _describe_overlaps(found: ReaderFixations, indices: NDArray[np.int64]) -> list[str]:
    """Return what the report says of fixations that overlap, where their starts are times for certain."""
    note = None if found.showing is None else describe_overlaps(found.fixations.select(indices))
    return [note] if note else []


def _find_page(
    name: str | None, found: ReaderFixations, source: RecordingSource, pages: Mapping[str, StimulusPage]
) -> StimulusPage | None:
    """Return the page of a name, None for the cross, for no name, and for a name without boxes that may be skipped."""
    page = find_stimulus_page(pages, name) if name is not None else None
    if name is None or page is not None or source.settings.skip_unmatched or source.settings.is_cross(name):
        return page
    raise InputError(
        f"{found.path}: trial: '{name}' has no word boxes in {source.words_folder}; accepted: the name of "
        f"one of its {len(pages)} files, as '{next(iter(pages))}'"
    )


def _group_readings(
    found: ReaderFixations, kept: list[tuple[int, StimulusPage]], pages: Mapping[str, StimulusPage]
) -> list[tuple[tuple[str, int], list[tuple[int, StimulusPage]], list[str]]]:
    """Return the trial and number of each reading, its fixations, and what the report says of it."""
    shown: dict[int, PageShowing] = {}
    notes: dict[str, list[str]] = {}
    if found.showing is not None:
        before: tuple[str, int, str] | None = None  # trial, page and tracked eyes of the last fixation
        for index, page in kept:
            number, eyes = int(found.showing[index]), found.tracked[index]
            goes_on = before is not None and before[:2] == (page.trial, page.number) and before[2] != eyes
            if number not in shown:
                shown[number] = PageShowing(page.trial, page.number, not goes_on)
                if goes_on:
                    notes.setdefault(page.trial, []).append(f"goes on after the tracked eye changed to {eyes}")
            before = page.trial, page.number, eyes
    page_counts = {each.trial: 0 for each in pages.values()}
    for page in pages.values():
        page_counts[page.trial] += 1
    reading_of = dict(zip(shown, split_readings(list(shown.values()), page_counts), strict=True))
    groups: dict[tuple[str, int], list[tuple[int, StimulusPage]]] = {}
    for index, page in kept:
        reading = 0 if found.showing is None else reading_of[int(found.showing[index])]
        groups.setdefault((page.trial, reading), []).append((index, page))
    described = []
    for (trial, reading), members in groups.items():
        if found.showing is None:
            turns = _describe_scattered_rows([index for index, _ in members], found)
        else:
            turns = describe_page_turns([page.number for _, page in members])
        described.append(((trial, reading), members, [*notes.get(trial, []), *([turns] if turns else [])]))
    return described


def _describe_scattered_rows(indices: Sequence[int], found: ReaderFixations) -> str | None:
    """Return what the report says of a trial of a table with rows of other trials between its own."""
    names = found.page_names[indices[0] : indices[-1] + 1]
    own = {found.page_names[index] for index in indices}
    if all(name is None or name in own for name in names):
        return None
    return "rows of other trials stand between its own; they are one reading"


def _find_cross_offsets(found: ReaderFixations, source: RecordingSource) -> NDArray[np.float64]:
    """Return [fixations, 2] the pixels that the last fixation on a cross before each lay off the screen's middle."""
    offsets = np.full((len(found.fixations), 2), np.nan)
    latest = np.full(2, np.nan)
    for index, name in enumerate(found.page_names):
        if name is not None and source.settings.is_cross(name):
            at = np.array([found.fixations.x[index], found.fixations.y[index]])
            latest = at - np.array(found.screen) / 2 if np.isfinite(at).all() else latest
        offsets[index] = latest
    return offsets
