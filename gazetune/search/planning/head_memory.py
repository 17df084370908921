"""How much memory a search needs on the machine where its driver runs, which is the head of a cluster.

Ray puts three processes of each slot there, whatever nodes the slot's workers are on: the trial of Ray Tune that waits
for reports, the controller of Ray Train, and the actor through which its workers agree. So a head without GPUs that
looks small beside its workers may be too small for many slots. The sizes are proportional set sizes (a page that n
processes share counts 1/n in each), measured on Linux x86-64 with Python 3.11, Ray 2.60 and torch 2.13 by
`python -m tests.bench.head_memory`, and rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20

DRIVER = 600 * MIB
"""The driver: data, study, MLflow, and what checks a model. It grows by some 100 MiB in a thousand trials."""
RAY_SERVICES = 720 * MIB
"""Ray's control service, node, dashboard and agents, without the memory that objects take."""
SEARCH_ACTORS = 190 * MIB
"""The board, and the actor in which Ray Train's controllers agree about resources."""
SLOT = 490 * MIB
"""Controller 254, trial of Ray Tune 119, the actor of the workers 113."""


@dataclass(frozen=True, slots=True)
class HeadMemory:
    """Bytes of memory on the head of a search, without workers."""

    driver: int
    ray: int
    per_slot: int
    slots: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.driver + self.ray + self.slots * self.per_slot


def estimate_head_memory(slots: int) -> HeadMemory:
    """Return what a search with so many slots needs on the head.

    Examples
    --------
    >>> round(estimate_head_memory(64).total / 2**30)
    32
    """
    return HeadMemory(DRIVER, RAY_SERVICES + SEARCH_ACTORS, SLOT, slots)
