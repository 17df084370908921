"""A part of a report: what it says, its picture, and its table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

MOST_ROWS = 200
"""Rows of a table beyond which the rest is left to `trials.csv`."""


@dataclass(frozen=True, slots=True)
class Table:
    """A head and rows of text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report."""

    key: str
    """Names its place in the page."""
    title: str
    text: tuple[str, ...] = ()
    """Paragraphs; one says why where there is no picture."""
    draw: Callable[[], Figure] | None = None
    label: str = ""
    """What the picture shows, for those who do not see it."""
    table: Table | None = None
    code: str = ""
    """Shown as it is."""


def thin_out(items: Sequence[int], most: int, keep: frozenset[int] = frozenset()) -> list[int]:
    """Return at most about `most` of the items, evenly chosen, and all of `keep`, in their order.

    Examples
    --------
    >>> thin_out(range(10), 3, frozenset({7}))
    [0, 4, 7, 9]
    """
    if len(items) <= most:
        return list(items)
    step = (len(items) - 1) / max(1, most - 1)
    chosen = {items[round(place * step)] for place in range(most)} | (keep & set(items))
    return [item for item in items if item in chosen]
