"""Tables of a published corpus that pymovements loaded: one row a fixation, or one row a word with its measures.

Corpora name their columns in different ways; the usual spellings are known, and any can be named by the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.eyetracking.fixations import Fixations, Recording
from gazetune.eyetracking.pymovements.gaze import GazeFile
from gazetune.eyetracking.pymovements.settings import PymovementsSettings

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "reader": ("reader", "subject_id", "participant_id", "reader_id", "subject", "RECORDING_SESSION_LABEL"),
    "trial": ("trial", "unique_trial_id", "TRIAL_ID", "text_id", "item_id", "trial_id", "TRIAL_INDEX"),
    "x": ("x", "CURRENT_FIX_X", "fix_x", "location_x"),
    "y": ("y", "CURRENT_FIX_Y", "fix_y", "location_y"),
    "start": ("start", "onset", "CURRENT_FIX_START", "fix_start"),
    "duration": ("duration", "CURRENT_FIX_DURATION", "fix_duration", "fixation_duration"),
    "word": ("word", "IA_LABEL"),
    "nFix": ("nFix", "TFC", "IA_FIXATION_COUNT"),
    # FD is the first fixation in any pass, as FFD here; where both are there, FFD is that of the first pass.
    "FFD": ("FD", "FFD", "IA_FIRST_FIXATION_DURATION"),
    "GPT": ("GPT", "RPD_inc", "IA_REGRESSION_PATH_DURATION"),
    "TRT": ("TRT", "TFT", "IA_DWELL_TIME"),
}
"""What each column is called: here, in the tables of EMTeC and PoTeC, and in reports of EyeLink Data Viewer."""
_TABLE_MEASURES = ("nFix", "FFD", "GPT", "TRT")


def fixation_files(
    frame: Any, path: Path, metadata: Mapping[str, Any], settings: PymovementsSettings, screen: tuple[int, int] | None
) -> list[GazeFile]:
    """Return the fixations of each reader of a table: pixels from the upper left corner, milliseconds.

    Parameters
    ----------
    frame
        A `polars.DataFrame` with one row a fixation, in time order in each trial. A column of starts is not needed.
    metadata
        What the name of the file says of all its rows.

    Raises
    ------
    InputError
        If a column is missing, a duration is no number or negative, a trial is not in time order, or the size of the
        screen is unknown.
    """
    if screen is None:
        raise InputError(
            f"{path}: has no size of the screen (the definition's experiment); accepted: --screen WIDTHxHEIGHT"
        )
    frame = frame.with_row_index("__row", offset=1)
    readers = _names(frame, path, metadata, settings, "reader") or (path.stem,) * len(frame)
    trials = _names(frame, path, metadata, settings, "trial")
    if trials is None:
        raise _missing(frame, path, "trial", settings)
    x, y = (_numbers(frame, path, settings, key) for key in ("x", "y"))
    start = _starts(frame, path, settings, readers, trials)
    duration = _numbers(frame, path, settings, "duration", 0.0, required=True)
    files = []
    for reader in dict.fromkeys(readers):
        rows = np.array([row for row, each in enumerate(readers) if each == reader])
        fixations = Fixations(x[rows], y[rows], duration[rows] / 1000.0, start[rows] / 1000.0)
        files.append(
            GazeFile(
                path,
                str(reader),
                screen,
                tuple(trials[row] for row in rows),
                fixations,
                "fixations as the files have them",
            )
        )
    return files


def measure_recordings(
    frame: Any, path: Path, metadata: Mapping[str, Any], settings: PymovementsSettings
) -> list[Recording]:
    """Return the trials of each reader of a table with one row a word in reading order, with its measures in ms.

    Words without a value were skipped and get zeros.

    Raises
    ------
    InputError
        If a column is missing, a word is empty, or a measure is negative.
    """
    frame = frame.with_row_index("__row", offset=1)
    readers = _names(frame, path, metadata, settings, "reader") or (path.stem,) * len(frame)
    trials = _names(frame, path, metadata, settings, "trial") or (path.stem,) * len(frame)
    words = frame[_column(frame, path, "word", settings)].to_list()
    columns = [np.nan_to_num(_numbers(frame, path, settings, name, 0.0)) for name in _TABLE_MEASURES]
    values = np.stack([*columns, np.where(columns[0] > 0, 100.0, 0.0)], axis=1)
    groups: dict[tuple[str, str], list[int]] = {}
    for row, (reader, trial, word) in enumerate(zip(readers, trials, words, strict=True)):
        if word is None or not str(word).strip():
            raise InputError(f"{path} row {row + 1}: word: is empty; accepted: a word")
        groups.setdefault((str(reader), str(trial)), []).append(row)
    return [
        Recording(
            path,
            reader,
            trial,
            tuple(str(words[row]) for row in rows),
            tuple(f"{path} row {row + 1}" for row in rows),
            True,
            measures=values[rows],
        )
        for (reader, trial), rows in groups.items()
    ]


def measures_of_units(measures: NDArray[np.float64], unit: NDArray[np.int64], units: int) -> NDArray[np.float64]:
    """Return [units, 5] from the measures [words, 5] of the words in each unit.

    Counts and total times of words in one unit are added; it has the first duration of its first fixated word and the
    longest go-past time, since that of a unit cannot be known from those of its parts.
    """
    values = np.zeros((units, len(MEASURES)))
    for column in (0, 3):
        np.add.at(values[:, column], unit, measures[:, column])
    for column in (2, 4):
        np.maximum.at(values[:, column], unit, measures[:, column])
    for word in np.flatnonzero(measures[:, 1])[::-1]:
        values[unit[word], 1] = measures[word, 1]
    return values


def _column(frame: Any, path: Path, key: str, settings: PymovementsSettings) -> str:
    named = settings.columns.get(key)
    found = next((name for name in ((named,) if named else SPELLINGS[key]) if name in frame.columns), None)
    if found is None:
        raise _missing(frame, path, key, settings)
    return found


def _missing(frame: Any, path: Path, key: str, settings: PymovementsSettings) -> InputError:
    names = ", ".join(name for name in frame.columns if name != "__row")[:200]
    return InputError(
        f"{path}: has no column '{settings.columns.get(key, key)}' for {key}; it has {names}; "
        f"accepted: --columns {key}=NAME"
    )


def _names(
    frame: Any, path: Path, metadata: Mapping[str, Any], settings: PymovementsSettings, key: str
) -> tuple[str | None, ...] | None:
    """Return [rows] the reader or trial, from columns or the file's name; None where no usual one is there."""
    named = settings.columns.get(key)
    if named is None:
        usual = next((name for name in SPELLINGS[key] if name in frame.columns or name in metadata), None)
        if usual is None:
            return None
        named = usual
    parts: list[Sequence[Any]] = []
    for name in named.split("+"):
        if name not in frame.columns and name not in metadata:
            raise _missing(frame, path, key, settings)
        parts.append(frame[name].to_list() if name in frame.columns else [metadata[name]] * len(frame))
    return tuple(None if None in values else "_".join(map(str, values)) for values in zip(*parts, strict=True))


def _starts(
    frame: Any, path: Path, settings: PymovementsSettings, readers: Sequence[str | None], trials: Sequence[str | None]
) -> NDArray[np.float64]:
    """Return [rows] milliseconds, or places in the file where it has no column of starts."""
    if "start" not in settings.columns and not set(SPELLINGS["start"]) & set(frame.columns):
        return np.arange(len(frame), dtype=np.float64)
    starts = _numbers(frame, path, settings, "start")
    last: dict[tuple[str | None, str | None], float] = {}
    for row, (*trial, start) in enumerate(zip(readers, trials, starts.tolist(), strict=True)):
        before = last.get((trial[0], trial[1]), start)
        if start < before:
            raise InputError(
                f"{path} row {row + 1}: {_column(frame, path, 'start', settings)}: '{start:g}'; accepted: "
                f"at least {before:g}, which the fixation before it has (time order)"
            )
        last[trial[0], trial[1]] = start
    return starts


def _numbers(
    frame: Any, path: Path, settings: PymovementsSettings, key: str, least: float | None = None, required: bool = False
) -> NDArray[np.float64]:
    """Return [rows] the numbers of a column, NaN where it has none unless one is `required`."""
    name = _column(frame, path, key, settings)
    column = frame[name]
    values = column.cast(float, strict=False).fill_null(np.nan).to_numpy()
    bad = np.isinf(values) | (np.isnan(values) & (required | column.is_not_null().to_numpy()))
    if column.dtype.is_float() and not required:
        bad &= ~np.isnan(values)
    if least is not None:
        bad |= values < least
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        accepted = "a number" if least is None else f"a number >= {least:g}"
        raise InputError(f"{path} row {row + 1}: {name}: '{column[row]}'; accepted: {accepted}")
    return values
