"""Tables of a published corpus that pymovements loaded: one row a fixation, or one row a word with its measures.

Corpora name their columns in different ways; the usual spellings are known, and any can be named by the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.pymovements.gaze import ReaderFixations
from gazetune.eyetracking.pymovements.settings import PymovementsSettings
from gazetune.eyetracking.recording import Fixations, Recording, ScreenSize

if TYPE_CHECKING:
    import polars

COLUMN_SPELLINGS: Mapping[str, tuple[str, ...]] = {
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
_TYPICAL_MS = (10.0, 10_000.0)
"""Between these lies the median of a column of fixation times in milliseconds, and of none in seconds."""
_TABLE_MEASURES = ("nFix", "FFD", "GPT", "TRT")


class CorpusTable:
    """A table, and how its columns are found.

    Parameters
    ----------
    frame
        One row a fixation, or one row a word.
    path
        The file that it comes from, for error lines.
    metadata
        What the name of the file says of all its rows, by the names of columns.
    settings
        Their `columns` name what is not spelt as usual.
    """

    def __init__(
        self, frame: polars.DataFrame, path: Path, metadata: Mapping[str, object], settings: PymovementsSettings
    ) -> None:
        self._frame = frame
        self._path = path
        self._metadata = metadata
        self._columns = settings.columns
        self.notes: list[str] = []
        """What the report says of the table, once it is read."""

    def read_fixations(self, screen: ScreenSize | None) -> list[ReaderFixations]:
        """Return the fixations of each reader: pixels from the upper left corner, milliseconds in the table.

        The rows are in the order of time in each trial. A column of starts is not needed.

        Raises
        ------
        InputError
            If a column is missing, a duration is no number or negative, a trial is not in time order, or the size of
            the screen is unknown.
        """
        if screen is None:
            raise InputError(
                f"{self._path}: has no size of the screen (the definition's experiment); "
                "accepted: --screen WIDTHxHEIGHT"
            )
        readers = self._read_readers()
        trials = self._read_names("trial")
        if trials is None:
            raise self._missing_column("trial")
        x, y = self._read_numbers("x"), self._read_numbers("y")
        start = self._read_starts(readers, trials)
        duration = self._read_numbers("duration", 0.0, required=True)
        self._check_milliseconds("duration", duration)
        fixations = Fixations(x, y, duration / 1000.0, start / 1000.0)
        found = []
        for reader in dict.fromkeys(readers):
            rows = np.array([row for row, each in enumerate(readers) if each == reader])
            page_names = tuple(trials[row] for row in rows)
            note = "fixations as the files have them"
            found.append(ReaderFixations(self._path, str(reader), screen, page_names, fixations.select(rows), note))
        return found

    def read_measures(self) -> list[Recording]:
        """Return the trials of each reader, from one row a word in reading order, with its measures in ms.

        Words without a value were skipped and get zeros.

        Raises
        ------
        InputError
            If a column is missing, a word is empty, or a measure is negative.
        """
        readers = self._read_readers()
        trials = self._read_names("trial") or (self._path.stem,) * len(self._frame)
        words = self._frame[self._find_column("word")].to_list()
        columns = [np.nan_to_num(self._read_numbers(name, 0.0)) for name in _TABLE_MEASURES]
        for key, column in zip(_TABLE_MEASURES[1:], columns[1:], strict=True):
            self._check_milliseconds(key, column)
        values = np.stack([*columns, np.where(columns[0] > 0, 100.0, 0.0)], axis=1)
        groups: dict[tuple[str, str], list[int]] = {}
        for row, (reader, trial, word) in enumerate(zip(readers, trials, words, strict=True)):
            if word is None or not str(word).strip():
                raise InputError(f"{self._origin(row)}: word: is empty; accepted: a word")
            groups.setdefault((str(reader), str(trial)), []).append(row)
        return [
            Recording(
                self._path,
                reader,
                trial,
                tuple(str(words[row]) for row in rows),
                tuple(self._origin(row) for row in rows),
                True,
                measures=values[rows],
            )
            for (reader, trial), rows in groups.items()
        ]

    def _origin(self, row: int) -> str:
        """Return `file row N`, counted from 1, as error lines have it."""
        return f"{self._path} row {row + 1}"

    def _find_column(self, key: str) -> str:
        named = self._columns.get(key)
        spellings = (named,) if named else COLUMN_SPELLINGS[key]
        found = next((name for name in spellings if name in self._frame.columns), None)
        if found is None:
            raise self._missing_column(key)
        return found

    def _missing_column(self, key: str) -> InputError:
        return InputError(
            f"{self._path}: has no column '{self._columns.get(key, key)}' for {key}; it has "
            f"{', '.join(self._frame.columns)[:200]}; accepted: --columns {key}=NAME"
        )

    def _read_readers(self) -> tuple[str, ...]:
        """Return [rows] whose each row is; the name of the file, with a note, where nothing else says it."""
        names = self._read_names("reader")
        if names is None:
            self.notes.append(
                f"{self._path}: no usual column and no part of its name says who read; all of its rows are taken as "
                f"one reader's, {self._path.stem} (--columns reader=NAME)"
            )
            return (self._path.stem,) * len(self._frame)
        for row, name in enumerate(names):
            if name is None or not name.strip():
                raise InputError(f"{self._origin(row)}: reader: is empty; accepted: a name in every row")
        return cast("tuple[str, ...]", names)

    def _read_names(self, key: str) -> tuple[str | None, ...] | None:
        """Return [rows] the reader or trial, from columns or the file's name; None where no usual one is there.

        `A+B` names two columns, whose values are joined by _.
        """
        named = self._columns.get(key)
        if named is None:
            known = {*self._frame.columns, *self._metadata}
            usual = next((name for name in COLUMN_SPELLINGS[key] if name in known), None)
            if usual is None:
                return None
            named = usual
        parts: list[Sequence[object]] = []
        for name in named.split("+"):
            if name in self._frame.columns:
                parts.append(self._frame[name].to_list())
            elif name in self._metadata:
                parts.append([self._metadata[name]] * len(self._frame))
            else:
                raise self._missing_column(key)
        return tuple(None if None in values else "_".join(map(str, values)) for values in zip(*parts, strict=True))

    def _check_milliseconds(self, key: str, values: NDArray[np.float64]) -> None:
        """Check that times [rows] are of the size that milliseconds have, not seconds or microseconds."""
        times = values[values > 0]
        median = float(np.median(times)) if len(times) else _TYPICAL_MS[0]
        if not _TYPICAL_MS[0] <= median <= _TYPICAL_MS[1]:
            raise InputError(
                f"{self._path}: {self._find_column(key)}: its median is {median:g}; accepted: milliseconds, with a "
                f"median of {_TYPICAL_MS[0]:g} to {_TYPICAL_MS[1]:g}"
            )

    def _read_starts(self, readers: Iterable[str | None], trials: Iterable[str | None]) -> NDArray[np.float64]:
        """Return [rows] milliseconds, or the number of the row where the table has no column of starts."""
        if "start" not in self._columns and not set(COLUMN_SPELLINGS["start"]) & set(self._frame.columns):
            return np.arange(len(self._frame), dtype=np.float64)
        starts = self._read_numbers("start")
        # Rows of several trials may be mixed; each must be in the order of time for itself.
        latest: dict[tuple[str | None, str | None], float] = {}
        for row, (reader, trial, start) in enumerate(zip(readers, trials, starts.tolist(), strict=True)):
            before = latest.get((reader, trial), start)
            if start < before:
                raise InputError(
                    f"{self._origin(row)}: {self._find_column('start')}: '{start:g}'; accepted: "
                    f"at least {before:g}, which the fixation before it has (time order)"
                )
            latest[reader, trial] = start
        return starts

    def _read_numbers(self, key: str, least: float | None = None, required: bool = False) -> NDArray[np.float64]:
        """Return [rows] the numbers of a column, NaN where it has none unless one is `required`."""
        name = self._find_column(key)
        column = self._frame[name]
        values = column.cast(float, strict=False).fill_null(np.nan).to_numpy()
        # A cell that is empty has no number; one with other text is wrong.
        bad = np.isinf(values) | (np.isnan(values) & (required | column.is_not_null().to_numpy()))
        if column.dtype.is_float() and not required:
            bad &= ~np.isnan(values)
        if least is not None:
            bad |= values < least
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            accepted = "a number" if least is None else f"a number >= {least:g}"
            raise InputError(f"{self._origin(row)}: {name}: '{column[row]}'; accepted: {accepted}")
        return values
