"""The nodes of a cluster while a search runs: they come and go."""

from __future__ import annotations

import logging
from pathlib import Path

from gazetune.cluster.capacity import NodeResources
from gazetune.cluster.connect import current_nodes
from gazetune.cluster.shared_storage import alive_nodes, refused_nodes

_LOG = logging.getLogger(__name__)


class NodeWatch:
    """Asked for the nodes, it also checks those that have joined since, as `connect` checked the first ones.

    A node that fails is left out and told of once: those that were there before can go on. To be asked again, it has
    to join anew, and so with another id.
    """

    def __init__(self, joined: bool, storage: Path) -> None:
        """`joined`: whether the cluster was there before; else this machine is all there is. `storage`: all see it."""
        self._joined, self._storage = joined, storage
        self.usable: frozenset[str] = frozenset()
        """Ids of the nodes that were found to be good."""
        self.refused: frozenset[str] = frozenset()
        """Ids of the nodes that are left out."""

    def __call__(self) -> list[NodeResources]:
        """Return the nodes that the cluster has or may start, without those that are left out."""
        alive = alive_nodes()
        reasons: dict[str, str] = {}
        if self._joined and (new := alive - self.usable - self.refused):
            reasons = refused_nodes(self._storage, new)
            alive &= alive_nodes()  # one that is gone again could not answer, and may come back
        for node in sorted(alive & reasons.keys()):
            _LOG.warning("left out: %s; to be asked again it has to join anew (ray stop, ray start)", reasons[node])
        self.refused |= alive & reasons.keys()
        self.usable = frozenset(alive - reasons.keys() - self.refused)
        return current_nodes(self._joined, self.refused)
