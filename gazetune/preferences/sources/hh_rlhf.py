"""Anthropic/hh-rlhf: two whole conversations that differ in the last reply (arXiv 2204.05862)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.sources.registry import Dropped, preference_source
from gazetune.preferences.sources.rows import Row
from gazetune.preferences.sources.shapes import pair_from_row


def is_hh_rlhf(row: Row) -> bool:
    """Tell whether a row has the two columns of the data set and nothing else, and turns spelled as there."""
    texts = row.values.values()
    begins = all(isinstance(text, str) and text.startswith("\n\nHuman:") for text in texts)
    return set(row.values) == {"chosen", "rejected"} and begins


@preference_source("Anthropic/hh-rlhf", check=pair_from_row, recognises=is_hh_rlhf)
def hh_rlhf_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
    """Yield the pair of each row; rows with identical or empty replies, or without a shared prompt, give none."""
    return map(pair_from_row, rows)
