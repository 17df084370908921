"""Slots whose workers died, while it is not known whether their node went away.

Ray tells of dead workers at once. Of a dead node it tells when the node has missed some health checks: after 25 seconds
at most, unless it is set to take longer. So the deaths are kept for a while. If a node is lost in that time, they are
attributed to it, else to what the workers did.
"""

from __future__ import annotations

ATTRIBUTION_SECONDS = 40.0
"""A node that is lost so soon after workers died took them with it."""


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
