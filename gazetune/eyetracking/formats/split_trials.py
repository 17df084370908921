"""The fixations of one file that pymovements read, to recordings: one a trial, its pages below each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gazetune.errors import InputError
from gazetune.eyetracking.formats.registry import LoadedRecordings, RecordingSource
from gazetune.eyetracking.import_settings import DroppedPart
from gazetune.eyetracking.pymovements.gaze import ReaderFixations
from gazetune.eyetracking.stimulus_pages import StimulusPage, find_stimulus_page, join_pages

_OUTSIDE = "outside of the trials"
_ELSEWHERE = "on a screen without word boxes"
_LOST = "without samples"


def split_trials(
    found: ReaderFixations, source: RecordingSource, pages: Mapping[str, StimulusPage]
) -> LoadedRecordings:
    """Return the trials of one reader, and what of the fixations was left out.

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
    counts = dict.fromkeys((_OUTSIDE, _ELSEWHERE, _LOST), 0)
    trials: dict[str, list[tuple[int, int]]] = {}  # of each trial the index and the page of each fixation
    for index, name in enumerate(found.page_names):
        page = find_stimulus_page(pages, name) if name is not None else None
        if name is None:
            counts[_OUTSIDE] += 1
        elif page is None and not source.settings.skip_unmatched:
            raise InputError(
                f"{found.path}: trial: '{name}' has no word boxes in {source.words_folder}; accepted: the name of "
                f"one of its {len(pages)} files, as '{next(iter(pages))}'"
            )
        elif page is None:
            counts[_ELSEWHERE] += 1
        elif not np.isfinite([found.fixations.x[index], found.fixations.y[index]]).all():
            counts[_LOST] += 1
        else:
            trials.setdefault(page.trial, []).append((index, page.number))
    label = f"{found.path} ({found.reader})"
    loaded = LoadedRecordings()
    loaded.add_note(found.note)
    loaded.dropped += [DroppedPart("fixations", label, reason, count) for reason, count in counts.items() if count]
    for trial, members in trials.items():
        indices, page_of_fixation = np.array(members, dtype=np.int64).T
        fixations = found.fixations.select(indices)
        loaded.recordings.append(
            join_pages(found.path, found.reader, trial, pages, found.screen, fixations, page_of_fixation)
        )
    return loaded
