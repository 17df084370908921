"""The registry of published data sets. A new one is one more file in this folder, with a decorated converter.

    @preference_source("owner/name", columns=("question", "better", "worse"))
    def name_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
        for row in rows:
            prompt = (Message("user", row.get_text("question")),)
            yield make_pair(row.origin, prompt, row.get_text("better"), row.get_text("worse"))

`data.source: owner/name` then downloads it from the hub, and a local file with the three columns is read in the same
way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.sources.rows import Row


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row, or a group of rows, that gives no pair."""

    origin: str
    reason: str
    """Short and without values: pairs are counted by it."""
    bad: bool = field(default=False, repr=False)
    """Whether it is a bad row of a user's own file, which was counted as such when it was read."""


Converter = Callable[[Iterable[Row]], Iterator[PreferencePair | Dropped]]
"""Rows in, pairs out; what gives no pair is yielded as `Dropped`."""


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """How the rows of one published data set become pairs."""

    name: str
    """Its hub id."""
    columns: frozenset[str]
    """A local file whose rows have all of these columns is a copy of the data set. Empty: never recognised."""
    convert: Converter
    inverted: Callable[[Converter], Converter] | None = None
    """Makes a converter to the same pairs the other way round, where the reference has them so (`data.invert_oasst1`).
    """
    single: Converter | None = None
    """Converts to pairs whose prompt is one message, where the reference has another one than `convert`."""
    check: Callable[[Row], object] | None = None
    """Raises `RowError` for a row that `convert` cannot read, so that such rows can be left out before it."""
    recognises: Callable[[Row], bool] | None = None
    """Tells by its first row that a local file with `chosen` and `rejected` is a copy of the data set."""

    def choose_converter(self, invert: bool, single: bool = False) -> Converter:
        """Return `convert`, or `single`, or either of them inverted, where there are such."""
        chosen = self.single if single and self.single is not None else self.convert
        return self.inverted(chosen) if invert and self.inverted is not None else chosen


SOURCE_FORMATS: dict[str, SourceFormat] = {}
"""The registered formats by hub id."""


def preference_source(
    name: str,
    columns: Iterable[str] = (),
    inverted: Callable[[Converter], Converter] | None = None,
    single: Converter | None = None,
    check: Callable[[Row], object] | None = None,
    recognises: Callable[[Row], bool] | None = None,
) -> Callable[[Converter], Converter]:
    """Register the decorated converter as the reader of the hub data set `name` and of local files with `columns`."""

    def register_converter(convert: Converter) -> Converter:
        SOURCE_FORMATS[name] = SourceFormat(name, frozenset(columns), convert, inverted, single, check, recognises)
        return convert

    return register_converter


def recognise_format(row: Row) -> SourceFormat | None:
    """Return the published format that a file with this first row is a copy of, or None for a user's own pairs.

    Labels outrank columns: where `chosen` or `rejected` says what was preferred, the columns of a published data set
    beside them decide nothing.
    """
    if row.has_value("chosen") or row.has_value("rejected"):
        formats = SOURCE_FORMATS.values()
        return next((each for each in formats if each.recognises is not None and each.recognises(row)), None)
    present = set(row.values)
    return next((each for each in SOURCE_FORMATS.values() if each.columns and each.columns <= present), None)
