"""Anthropic/hh-rlhf: two whole conversations that differ in the last reply (arXiv 2204.05862)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.sources.registry import Dropped, preference_source
from gazetune.preferences.sources.rows import Row
from gazetune.preferences.sources.shapes import pair_from_row


@preference_source("Anthropic/hh-rlhf")
def hh_rlhf_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
    """Yield the pair of each row; rows with identical or empty replies, or without a shared prompt, give none.

    A local copy has the columns of any file in the implicit-prompt form, so it is read as such, and strictly.
    """
    return map(pair_from_row, rows)
