"""What slots were lost to: their workers, their node, or a GPU of it.

Ray tells of dead workers at once. Of a dead node it tells when the node has missed some health checks: after 25 seconds
at most, unless it is set to take longer. So the deaths are kept for a while. If a node is lost in that time, they are
attributed to it, else to what the workers did.

GPUs that failed under jobs are counted by node: one that fails again and again would take every job and fail it.
"""

from __future__ import annotations

from gazetune.trials.messages import DeviceFailure

ATTRIBUTION_SECONDS = 40.0
"""A node that is lost so soon after workers died took them with it."""

MOST_FAILURES = 3
"""A node is left out with so many failures."""


class WorkerDeaths:
    """Deaths of slots' workers that have no cause yet. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._unexplained: list[tuple[int, float]] = []
        """Number of the slot, and when its workers died."""

    def add_death(self, slot: int, now: float) -> None:
        """Note that the workers of a slot have died."""
        self._unexplained.append((slot, now))

    def pop_node_losses(self, node_lost: bool) -> list[int]:
        """Return the slots whose workers died with a node; `node_lost`: one was lost since this was last asked."""
        slots = [slot for slot, _ in self._unexplained] if node_lost else []
        if node_lost:
            self._unexplained.clear()
        return slots

    def pop_worker_failures(self, now: float) -> list[int]:
        """Return the slots whose workers died by themselves, as no node was lost for long enough."""
        late = [(slot, when) for slot, when in self._unexplained if now - when > ATTRIBUTION_SECONDS]
        self._unexplained = [death for death in self._unexplained if death not in late]
        return [slot for slot, _ in late]


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
