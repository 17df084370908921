"""GPUs that failed under jobs, counted by node: one that fails again and again would take every job and fail it."""

from __future__ import annotations

from gazetune.trials.messages import DeviceFailure

MOST_FAILURES = 3
"""A node is left out with so many failures."""


class DeviceFailures:
    """Counts failures of GPUs. One that may be the fault of a job counts once for that job.

    Examples
    --------
    >>> failures, broken = DeviceFailures(), DeviceFailure("node", "0003", "uncorrectable ECC error", is_certain=True)
    >>> [failures.add_failure(broken) for _ in range(3)]
    [False, False, True]
    """

    def __init__(self) -> None:
        self._certain: dict[str, int] = {}
        """Failures that are the node's beyond doubt."""
        self._suspected: dict[str, set[str | None]] = {}
        """Jobs under which a GPU of the node failed in a way that they may have caused."""

    def add_failure(self, failure: DeviceFailure) -> bool:
        """Count a failure; return whether its node is to be left out from now on."""
        if failure.is_certain:
            self._certain[failure.node] = self._certain.get(failure.node, 0) + 1
        else:
            self._suspected.setdefault(failure.node, set()).add(failure.job)
        count = self._certain.get(failure.node, 0) + len(self._suspected.get(failure.node, ()))
        return count >= MOST_FAILURES
