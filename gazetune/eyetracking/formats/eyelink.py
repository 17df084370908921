"""Recordings of EyeLink: the text files that `edf2asc` makes of them (.asc), read by pymovements.

    source/words/TRIAL.csv      the boxes of the words, as for Gazepoint
    source/READER.asc           samples and events of one reader, or any .asc in source/READER/; also as .asc.gz

A message names the screen when a trial begins (`TRIALID 1.1_p1`), `TRIAL_RESULT` ends it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from gazetune.errors import InputError
from gazetune.eyetracking.formats.registry import LoadedRecordings, RecordingSource, recording_format
from gazetune.eyetracking.formats.split_trials import split_trials
from gazetune.eyetracking.pymovements.asc_blocks import AscBlocks, open_asc, scan_asc
from gazetune.eyetracking.pymovements.gaze import extract_fixations
from gazetune.eyetracking.pymovements.settings import PymovementsSettings, import_pymovements, name_reading_errors

if TYPE_CHECKING:
    from pymovements import Gaze


@recording_format("eyelink", files="*.asc of EyeLink, with a folder words/ of boxes", precedence=30)
def read_eyelink(source: RecordingSource) -> LoadedRecordings:
    """Return the recordings in all files of EyeLink. The folder of a file names its reader, else the file does.

    Raises
    ------
    InputError
        If a file is wrong, has no size of the screen, or names a screen without boxes; or if there is no file, but
        settings that only files of EyeLink need.
    """
    settings = source.settings.pymovements
    paths = [*source.find_files("*.asc"), *source.find_files("*.asc.gz")]
    loaded = LoadedRecordings()
    if not paths:
        if settings != PymovementsSettings():
            raise InputError(
                f"{source.path}: has no *.asc of EyeLink; accepted: --detect, --columns and the other flags of "
                "pymovements with what it reads"
            )
        return loaded
    pages = source.read_pages()
    for path in paths:
        gaze, blocks = _load_gaze(path, settings)
        reader = source.name_reader(path)
        found = extract_fixations(gaze, path, reader, settings, source.settings.screen, blocks)
        loaded.add_all(split_trials(found, source, pages))
        loaded.files.add(path)
    source.note_shared_folders(paths, loaded)
    return loaded


def _load_gaze(path: Path, settings: PymovementsSettings) -> tuple[Gaze, AscBlocks]:
    """Return the samples and events of a file, with the column `trial`, and its blocks and showings."""
    library = import_pymovements()
    patterns = [settings.trial_message, {"pattern": "TRIAL_RESULT", "column": "trial", "value": None}]
    with name_reading_errors(path), open_asc(path) as stream:
        lines = io.StringIO(stream.read())
        blocks = scan_asc(lines, settings.trial_message)
        lines.seek(0)
        gaze = library.gaze.from_asc(
            lines, patterns=patterns, schema={"trial": str}, trial_columns=["trial"], events=True
        )
    return gaze, blocks
