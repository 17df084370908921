"""How the rows of a source are read, what becomes of bad ones, and what is noticed on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gazetune.errors import InputError
from gazetune.preferences.sources.rows import RowError


@dataclass
class SourceReading:
    """One reading of a source: its settings, and counts of what was seen so far.

    A pair may turn out to be of no use when it is rendered or encoded, long after it was read. It is counted here too.
    """

    invert_oasst1: bool = False
    """Whether pairs of OASST1 have chosen and rejected change places, as the public code of GazeReward has them."""
    single_prompts: bool = False
    """Whether prompts of OASST1 and HelpSteer2 are one message, as the public code of GazeReward has them."""
    drop_bad_rows: bool = False
    """Whether bad rows are left out and counted; else the first one is refused."""
    group_column: str | None = None
    """`data.group`: the column of a user's own file that says which pairs belong together; None: their prompts do."""
    good: int = 0
    """Rows that were read."""
    bad: Counter[str] = field(default_factory=Counter)
    """Bad rows by reason."""
    first_bad: str = ""
    """The error line of the first one."""
    unread_columns: Counter[str] = field(default_factory=Counter)
    """In how many rows of a user's own file something stands in a column that is not read."""
    notes: Counter[str] = field(default_factory=Counter)
    """What else a user should know of rows that were read, and of how many."""

    def take_bad_row(self, error: RowError) -> None:
        """Count a row that gives no pair, or refuse it.

        Raises
        ------
        InputError
            Where bad rows are not dropped.
        """
        if not self.drop_bad_rows:
            raise InputError(f"{error}; data.on_bad_row=drop leaves such rows out") from error
        self.bad[error.reason] += 1
        self.first_bad = self.first_bad or str(error)

    def take_bad_pair(self, error: RowError) -> None:
        """Count a row whose pair was read and turns out to be of no use, or refuse it; as `take_bad_row`."""
        self.take_bad_row(error)
        self.good -= 1

    def list_notes(self) -> dict[str, int]:
        """Return what a user should know of the rows that were read, and of how many; columns together in one line."""
        unread = ", ".join(name or "''" for name in self.unread_columns)
        rows = max(self.unread_columns.values(), default=0)
        return {**({f"columns that are not read: {unread}": rows} if unread else {}), **self.notes}

    def check_bad_rows(self, largest_share: float) -> None:
        """Refuse a source with too large a share of bad rows.

        Raises
        ------
        InputError
            With the counts by reason and the line of the first bad row.
        """
        bad = self.bad.total()
        if bad > largest_share * (self.good + bad):
            counts = ", ".join(f"{count} {reason}" for reason, count in self.bad.most_common())
            raise InputError(
                f"{self.first_bad}; in all {bad} of {self.good + bad} rows give no pair ({counts}), and "
                f"data.max_bad_rows is {largest_share:g}"
            )
