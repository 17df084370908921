"""The registry of published data sets: a new one joins by one file in this folder with a `@source` function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.sources.rows import Row


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row, or a group of rows, that gives no pair."""

    origin: str
    reason: str
    """Short and without values: pairs are counted by it."""


Converter = Callable[[Iterable[Row]], Iterator[PreferencePair | Dropped]]
"""Rows in, pairs out; what gives no pair is yielded as `Dropped`."""


@dataclass(frozen=True, slots=True)
class RawFormat:
    """How the rows of one published data set become pairs."""

    name: str
    """Its hub id."""
    columns: frozenset[str]
    """A local file whose rows have all of these columns is a copy of the data set. Empty: never recognised."""
    convert: Converter
    inverted: Converter | None = None
    """The same pairs the other way round, where the reference has them so (`data.invert_oasst1`)."""

    def converter(self, invert: bool) -> Converter:
        """Return `inverted` if that is asked for and there is one, else `convert`."""
        return self.inverted if invert and self.inverted is not None else self.convert


RAW_FORMATS: dict[str, RawFormat] = {}
"""The registered formats by hub id."""


def source(
    name: str, columns: Iterable[str] = (), inverted: Converter | None = None
) -> Callable[[Converter], Converter]:
    """Register the decorated converter as the reader of the hub data set `name` and of local files with `columns`."""

    def register(convert: Converter) -> Converter:
        RAW_FORMATS[name] = RawFormat(name, frozenset(columns), convert, inverted)
        return convert

    return register


def recognised(columns: Iterable[str]) -> RawFormat | None:
    """Return the format whose columns are all among `columns`, or None."""
    present = set(columns)
    return next((raw for raw in RAW_FORMATS.values() if raw.columns and raw.columns <= present), None)
