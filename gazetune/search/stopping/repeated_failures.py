"""When a search gives up, because its trials FAIL for one and the same reason: a bug must not burn the cluster."""

from __future__ import annotations

import re
from collections import Counter

FIRST = 3
"""So many trials at the start that all FAIL for one reason end the search."""
SHARE = 0.3
"""A larger share of the trials that FAIL for one reason ends the search too,"""
ENOUGH = 10
"""once so many are finished."""

_NUMBER = re.compile(r"0x[0-9a-f]+|[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?", re.IGNORECASE)


class Failures:
    """The trials that ended since this driver began: what FAILed before it was put right is not held against it."""

    def __init__(self, limit: int | None) -> None:
        """`limit` is the most trials that may FAIL for the same reason; None stands for the rule of the constants."""
        self._limit = limit
        self._ended = 0
        self._kinds: Counter[str] = Counter()
        self.verdict: str | None = None
        """Why the search has to end, once it has."""

    def ended(self, failed_for: str | None) -> None:
        """Count a trial that ended; `failed_for` is the reason when it FAILed."""
        self._ended += 1
        if failed_for is None:
            return
        kind = _NUMBER.sub("#", failed_for)
        self._kinds[kind] += 1
        if self.verdict is None and (told := self._too_many(self._kinds[kind])):
            self.verdict = f"{told} FAILed for the same reason: {failed_for}"

    def _too_many(self, alike: int) -> str | None:
        if self._limit is not None:
            return f"{alike} trials" if alike > self._limit else None
        if alike == self._ended == FIRST:
            return f"the first {FIRST} trials"
        many = self._ended >= ENOUGH and alike > SHARE * self._ended
        return f"{alike} of {self._ended} trials" if many else None
