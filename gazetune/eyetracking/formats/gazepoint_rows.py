"""Which rows of an export of Gazepoint are one fixation, and on which showing of which page it was made.

MEDIA_NAME   FPOGID   FPOGS       a fixation is known by its number and its start; numbers and starts may begin
1.1_p1          1      0.0        anew with each screen, so a fixation is looked for in its showing alone
1.1_p1          2      0.4
1.1_p2          1      0.0        another fixation 1: another showing
1.1_p1          1      0.0        and another: the first page for the second time
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gazetune.errors import InputError
from gazetune.eyetracking.stimulus_pages import StimulusPage, find_stimulus_page
from gazetune.files.delimited import TableRow, read_table

COLUMNS = ("FPOGX", "FPOGY", "FPOGS", "FPOGD", "FPOGID", "FPOGV")
"""Columns of an export that are read: fractions of the screen, seconds, number and whether it is valid."""
_NAMES = ("MEDIA_NAME", "USER")
_VALID = ("1", "1.0", "true")
_INVALID = ("0", "0.0", "false", "")


@dataclass(slots=True)
class FixationRow:
    """One fixation."""

    row: TableRow | None
    """The last valid row of it; None where no row is valid."""
    page: StimulusPage | None
    """The page that it began on; None where that has no word boxes."""
    is_cross: bool
    showing: int
    """Counts the screens in the order in which they were shown."""
    begins_anew: bool
    """Whether fixations are counted from the first again in this showing."""


@dataclass(slots=True)
class FoundFixations:
    """The fixations of an export in the order of the file, which is that of time."""

    fixations: list[FixationRow] = field(default_factory=list)
    repeated_rows: int = 0
    """Rows of a file of fixations that say what the row before says."""


def find_fixations(
    path: Path, pages: Mapping[str, StimulusPage], is_cross: Callable[..., bool], one_row_each: bool
) -> FoundFixations:
    """Return the fixations of an export, valid or not.

    A fixation of a file of all gaze has many rows; where the screen changes meanwhile, it belongs to the one on which
    it began. In a file of fixations each row is one, unless it repeats the row before.

    Parameters
    ----------
    is_cross
        Whether a screen of the given names is the cross before a trial.
    one_row_each
        Whether it is a file of fixations.

    Raises
    ------
    InputError
        If a column is missing, a value is no number, or a duration is negative.
    """
    walk = _RowWalk(pages, is_cross, one_row_each)
    for row in read_table(path, COLUMNS, any_case=(*COLUMNS, *_NAMES)):
        if _is_valid(row):
            walk.add_valid(row)
        else:
            walk.add_invalid(row)
    return walk.found


class _RowWalk:
    """A walk over the rows, and what they say so far."""

    def __init__(self, pages: Mapping[str, StimulusPage], is_cross: Callable[..., bool], one_row_each: bool) -> None:
        self.found = FoundFixations()
        self._pages, self._is_cross, self._one_row_each = pages, is_cross, one_row_each
        self._page_of: dict[tuple[str, ...], StimulusPage | None] = {}
        self._names: tuple[str, ...] | None = None  # of the screen
        self._showing = -1
        self._begins_anew = False
        self._known: dict[int, FixationRow] = {}  # the fixations of this showing by their number
        self._last: tuple[int, float, float] | None = None  # number, start and duration of the last valid row
        self._last_start_text = ""
        self._fixation: FixationRow | None = None  # the one that the last valid row is of

    def add_valid(self, row: TableRow) -> None:
        """Take a valid row: the fixation before goes on, or one begins, perhaps in a new showing."""
        names = _read_names(row)
        self._last_start_text = row.values["FPOGS"].strip()
        number, start, _ = this = row.get_int("FPOGID"), row.get_float("FPOGS"), row.get_seconds("FPOGD")
        if self._goes_on(this, names == self._names):
            self.found.repeated_rows += self._one_row_each
            if names == self._names and self._fixation is not None:
                self._fixation.row = row
            self._last = this
            return
        last_number, last_start, _ = self._last or (-1, float("-inf"), 0.0)
        # Number and start of a later fixation are larger, or one of them is: the other may stand still.
        anew = number < last_number or start < last_start or (number, start) == (last_number, last_start)
        if names != self._names or anew:
            self._show(names, anew)
        self._last = this
        known = None if self._one_row_each else self._known.get(number)
        if known is not None and known.row is None:  # its first samples were not valid
            known.row, known.begins_anew = row, self._begins_anew
            self._fixation = known
        else:
            self._fixation = self._add(row, names, number)

    def add_invalid(self, row: TableRow) -> None:
        """Take a row that is not valid: a fixation of its own, unless another row has its number."""
        names = _read_names(row)
        try:
            number = row.get_int("FPOGID")
        except InputError:
            number = -1  # a lost eye may leave it empty
        same = names == self._names or row.values["FPOGS"].strip() == self._last_start_text
        if not self._one_row_each and self._last is not None and number == self._last[0] and same:
            return  # samples of a fixation may become invalid before it ends, on the next screen too
        if names != self._names:
            self._show(names, False)
        if self._one_row_each or number not in self._known:
            self._add(None, names, number)

    def _goes_on(self, this: tuple[int, float, float], same_screen: bool) -> bool:
        """Return whether a valid row is of the fixation that the last valid row is of."""
        if self._last is None:
            return False
        if self._one_row_each:
            return same_screen and this == self._last
        number, start, duration = self._last
        if this[0] != number or this[1] < start:
            return False
        if same_screen:
            return this[1] == start or this[1] < start + duration
        return this[1] == start and this[2] >= duration

    def _show(self, names: tuple[str, ...], begins_anew: bool) -> None:
        self._names, self._showing, self._begins_anew, self._known = names, self._showing + 1, begins_anew, {}

    def _add(self, row: TableRow | None, names: tuple[str, ...], number: int) -> FixationRow:
        if names not in self._page_of:
            self._page_of[names] = find_stimulus_page(self._pages, *names)
        fixation = FixationRow(row, self._page_of[names], self._is_cross(*names), self._showing, self._begins_anew)
        self._known[number] = fixation
        self.found.fixations.append(fixation)
        return fixation


def _read_names(row: TableRow) -> tuple[str, ...]:
    return tuple((row.values.get(name) or "").strip() for name in _NAMES)


def _is_valid(row: TableRow) -> bool:
    value = row.values["FPOGV"].strip().lower()
    if value not in (*_VALID, *_INVALID):
        raise InputError(f"{row.origin}: FPOGV: '{row.values['FPOGV']}'; accepted: 1 or 0")
    return value in _VALID
