"""Slots whose workers died, until it is known whether a node took them along."""

from __future__ import annotations

BLAMED_SECONDS = 40.0
"""A node that is gone so soon after a slot's workers died took them with it. Ray hears of the workers at once, of the
node when it has missed some health checks: 25 seconds at most, unless it is told to take longer."""


class Losses:
    """Losses of workers that nobody has answered for yet."""

    def __init__(self) -> None:
        self._open: list[tuple[int, float]] = []

    def add(self, slot: int, now: float) -> None:
        """Workers of a slot have died; `now` in seconds of a clock that never goes back, as below."""
        self._open.append((slot, now))

    def excused(self, node_lost: bool) -> list[int]:
        """Return the slots whose workers went with a node; `node_lost`: one has gone since this was last asked."""
        slots = [slot for slot, _ in self._open] if node_lost else []
        if node_lost:
            self._open.clear()
        return slots

    def blamed(self, now: float) -> list[int]:
        """Return the slots whose workers died by themselves, as no node has gone for so long."""
        late = [(slot, when) for slot, when in self._open if now - when > BLAMED_SECONDS]
        self._open = [loss for loss in self._open if loss not in late]
        return [slot for slot, _ in late]
