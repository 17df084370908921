"""When a search gives up, because its trials FAIL for one and the same reason: a bug must not burn the cluster."""

from __future__ import annotations

import re
from collections import Counter

FIRST_TRIALS = 3
"""So many trials at the start that all FAIL for one reason end the search."""
TOLERATED_SHARE = 0.3
"""A larger share of the trials that FAIL for one reason ends the search too,"""
TRIALS_FOR_SHARE = 10
"""once so many are finished."""

_NUMBER = re.compile(r"0x[0-9a-f]+|[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?", re.IGNORECASE)
"""Reasons that differ in such numbers alone (a step, an address, a loss) count as the same."""


class RepeatedFailures:
    """Counts the trials that ended since this driver began; those before it do not count, as the cause may be mended.

    Examples
    --------
    >>> failures = RepeatedFailures(limit=None)
    >>> for step in (3, 12, 7):
    ...     failures.count_trial(f"step {step}: the loss is nan")
    >>> failures.verdict
    'the first 3 trials FAILed for the same reason: step 7: the loss is nan'
    """

    def __init__(self, limit: int | None) -> None:
        """`limit` is the most trials that may FAIL for the same reason; None stands for the rule of the constants."""
        self._limit = limit
        self._ended = 0
        self._failed: Counter[str] = Counter()
        """By reason, with `#` for each number."""
        self.verdict: str | None = None
        """Why the search has to end, once it has."""

    def count_trial(self, failure: str | None) -> None:
        """Count a trial that ended; `failure` is the reason when it FAILed."""
        self._ended += 1
        if failure is None:
            return
        kind = _NUMBER.sub("#", failure)
        self._failed[kind] += 1
        too_many = self._describe_too_many(self._failed[kind])
        if self.verdict is None and too_many is not None:
            self.verdict = f"{too_many} FAILed for the same reason: {failure}"

    def _describe_too_many(self, alike: int) -> str | None:
        """Return in words which trials failed alike where those are too many, else None."""
        if self._limit is not None:
            return f"{alike} trials" if alike > self._limit else None
        if alike == self._ended == FIRST_TRIALS:
            return f"the first {FIRST_TRIALS} trials"
        many = self._ended >= TRIALS_FOR_SHARE and alike > TOLERATED_SHARE * self._ended
        return f"{alike} of {self._ended} trials" if many else None
