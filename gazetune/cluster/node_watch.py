"""Which nodes of a cluster a search can use, while nodes join and leave."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gazetune.cluster.capacity import NodeResources
from gazetune.cluster.node_checks import find_unusable_nodes
from gazetune.cluster.nodes import alive_nodes, usable_resources

_LOG = logging.getLogger(__name__)


class NodeSource(Protocol):
    """Lists the nodes that slots may lie on, and finds out which ones these are."""

    usable_ids: frozenset[str]
    """Ids of nodes that a slot may be on, as of the last call of `list_nodes`."""
    refused_ids: frozenset[str]
    """Ids of nodes that no slot may be on; `list_nodes` leaves them out."""

    def list_nodes(self) -> Sequence[NodeResources]:
        """Return what the nodes have that slots may be on, those to come included."""

    def refuse_node(self, node_id: str, problem: str) -> None:
        """Leave a node out from now on; `problem` says why."""


class NodeWatch:
    """The nodes of the connected cluster; those that have joined since the last call are checked first.

    They are checked as `connect_to_cluster` checks the first ones. A node that fails is left out with one warning: the
    search goes on with the others. It is checked again only when it joins anew, with another id.
    """

    def __init__(self, joined: bool, storage: Path) -> None:
        """`joined`: whether the cluster was there before; else this machine is all there is. `storage`: all see it."""
        self._joined, self._storage = joined, storage
        self.usable_ids: frozenset[str] = frozenset()
        """Ids of the nodes that were found to be good."""
        self.refused_ids: frozenset[str] = frozenset()
        """Ids of the nodes that are left out."""

    def list_nodes(self) -> list[NodeResources]:
        """Return the nodes that the cluster has or may start, without those that are left out."""
        alive = set(alive_nodes())
        problems: dict[str, str] = {}
        if self._joined and (new := alive - self.usable_ids - self.refused_ids):
            problems = find_unusable_nodes(self._storage, new)
            # A node that is gone by now could not answer. It may come back and is not refused.
            alive &= alive_nodes().keys()
        for node_id in sorted(alive & problems.keys()):
            _warn_of_refusal(problems[node_id])
        self.refused_ids |= alive & problems.keys()
        self.usable_ids = frozenset(alive - problems.keys() - self.refused_ids)
        return usable_resources(self._joined, self.refused_ids)

    def refuse_node(self, node_id: str, problem: str) -> None:
        """Leave a node out from now on, with one warning that says which one and why."""
        node = alive_nodes().get(node_id)
        if node is None or node_id in self.refused_ids:
            return
        self.refused_ids |= {node_id}
        _warn_of_refusal(f"node {node['NodeManagerAddress']} of the cluster: {problem}")


def _warn_of_refusal(problem: str) -> None:
    _LOG.warning("left out: %s; to be asked again it has to join anew (ray stop, ray start)", problem)
