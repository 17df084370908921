"""Ids of fixations in the files of OASST-ETC: how they are printed, and what their order says.

word_cor_image_fixations_7.2.csv     fixations: [1504, 1505, 1525], or [1504.0], or [np.float64(1504.0)], or []
fixations_assigned_7.2.csv           ID: 1504, or 1504.0
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.eyetracking.recording import Fixations
from gazetune.files.delimited import TableRow

_ID = re.compile(r"(?:(?:np|numpy)\.)?(?:u?int|float)\d+\((\d+)(?:\.0*)?\)|(\d+)(?:\.0*)?")
"""An id as Python and NumPy print it, among others in a list."""


def parse_ids(text: str) -> list[int] | None:
    """Return the ids that a cell lists, whichever way Python, NumPy or pandas printed them; None if it lists others.

    Examples
    --------
    >>> [parse_ids(text) for text in ("[18, 19]", "[18.0]", "18.0", "[np.float64(18.0)]", "[]", "")]
    [[18, 19], [18], [18], [18], [], []]
    >>> parse_ids("[-1]") is None
    True
    """
    text = text.strip()
    for opening, closing in (("[", "]"), ("(", ")"), ("array([", "])")):
        if text.startswith(opening) and text.endswith(closing):
            text = text[len(opening) : -len(closing)]
            break
    parts = re.split(r"[,;\s]+", text.strip().strip(",;"))
    if parts == [""] or [part.lower() for part in parts] == ["nan"]:
        return []
    found = [_ID.fullmatch(part) for part in parts]
    return [int(each[1] or each[2]) for each in found if each] if all(found) else None


def read_id_lists(rows: Sequence[TableRow]) -> list[list[int]]:
    """Return the ids of the fixations on each word."""
    lists = []
    for row in rows:
        if "fixations" not in row.values:
            raise InputError(f"{row.path} row 1: column 'fixations' is missing; it has {', '.join(row.values)}")
        ids = parse_ids(row.values["fixations"])
        if ids is None:
            raise InputError(
                f"{row.origin}: fixations: '{row.values['fixations'][:80]}'; accepted: a list of ids, as [18, 19]"
            )
        if len(ids) != row.get_int("fix_number"):
            raise InputError(
                f"{row.origin}: fix_number: '{row.values['fix_number']}'; accepted: {len(ids)}, "
                "the number of ids in fixations"
            )
        lists.append(ids)
    return lists


def read_scanpath(rows: Sequence[TableRow], id_lists: Sequence[list[int]]) -> tuple[Fixations, NDArray[np.int64], bool]:
    """Return the fixations that the words list by id, in the order of the ids, which is that of time.

    The file has the duration of a word's first fixation and the sum of all. So one or two fixations are known exactly;
    of three or more the later ones get equal parts.
    """
    found: dict[int, tuple[int, float]] = {}
    estimated = False
    for word, (row, ids) in enumerate(zip(rows, id_lists, strict=True)):
        if not ids:
            continue
        first, total = row.get_float("first_fix_duration", 0.0), row.get_float("fix_duration", 0.0)
        if total < first:
            raise InputError(
                f"{row.origin}: fix_duration: '{total:g}'; accepted: at least first_fix_duration {first:g}"
            )
        rest = (total - first) / (len(ids) - 1) if len(ids) > 1 else 0.0
        estimated |= len(ids) > 2
        for rank, number in enumerate(sorted(ids)):
            if number in found:
                # Where ids begin anew at each screen, they do not order the fixations.
                raise InputError(
                    f"{row.origin}: fixations: {number} stands at word {found[number][0]} too; accepted: each id once, "
                    "or fixations_assigned_*.csv of the trial beside it"
                )
            found[number] = word, first if rank == 0 else rest
    order = sorted(found)
    durations = np.array([found[number][1] for number in order])
    nowhere = np.full(len(order), np.nan)
    fixations = Fixations(nowhere, nowhere, durations, np.array(order, dtype=np.float64))
    return fixations, np.array([found[number][0] for number in order], dtype=np.int64), estimated


def read_id(row: TableRow, key: str) -> int:
    """Return the number of a fixation or word; `18`, `18.0` and `[18.0]` are one."""
    ids = parse_ids(row.values[key])
    return ids[0] if ids is not None and len(ids) == 1 else row.get_int(key)


def check_time_order(rows: Sequence[TableRow], ids: NDArray[np.int64]) -> tuple[str, ...]:
    """Check that the rows are in the order of time, and return what the report says of ids that begin anew.

    Ids increase with time. Where they begin anew at each screen, some stand at several fixations, and the row numbers
    of the export, which pandas writes as a first column without a name, increase instead.
    """
    backward = np.flatnonzero(np.diff(ids) <= 0)
    if not len(backward):
        return ()
    first_column = next(iter(rows[0].values))
    begins_anew = len(set(ids.tolist())) < len(ids) and not (np.diff(ids) == 0).any()
    if begins_anew and first_column.strip().lower() in ("", "unnamed: 0", "index"):
        row_numbers = np.array([row.get_int(first_column) for row in rows])
        if (np.diff(row_numbers) > 0).all():
            return (f"ids begin anew {len(backward)} times; the rows are taken in their order",)
    row = rows[backward[0] + 1]
    raise InputError(f"{row.origin}: ID: '{row.values['ID']}'; accepted: more than the row before has (time order)")
