"""The nodes of a cluster while a search runs: they come and go."""

from __future__ import annotations

from pathlib import Path

import ray

from gazetune.cluster.connect import current_nodes
from gazetune.cluster.slots import NodeResources
from gazetune.cluster.storage import require_shared
from gazetune.errors import InputError


class NodeWatch:
    """Asked for the nodes, it also checks those that have joined since, as `connect` checked the first ones."""

    def __init__(self, joined: bool, storage: Path) -> None:
        """`joined`: whether the cluster was there before; else this machine is all there is. `storage`: all see it."""
        self._joined, self._storage = joined, storage
        self._known = _alive()

    def __call__(self) -> list[NodeResources]:
        """Return the nodes that the cluster has or may start.

        Raises
        ------
        InputError
            When a node that has joined does not see the storage folder, or has another version of this package.
        """
        if self._joined and (new := _alive() - self._known):
            try:
                require_shared(self._storage, new)
            except InputError:
                if new <= _alive():
                    raise
                return current_nodes(self._joined)  # one of them is gone again: those that stay are asked once more
            self._known |= new
        return current_nodes(self._joined)


def _alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}
