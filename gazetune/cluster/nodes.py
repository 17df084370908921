"""The nodes of the connected Ray cluster: those that are alive, and those that its autoscaler may still start."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import ray
import yaml

from gazetune.cluster.capacity import NodeResources

ACCELERATOR_LABEL = "ray.io/accelerator-type"
"""Label that Ray gives a node by the name of its GPUs."""

_TYPE_RESOURCE = "accelerator_type:"

LAUNCHER_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""What `ray up` leaves on the head node: the cluster's config with everything filled in."""


class AliveNode(TypedDict):
    """What `ray.nodes()` says of a node, as far as it is read here."""

    NodeID: str
    NodeManagerAddress: str
    Resources: dict[str, float]
    Labels: dict[str, str]


class NodeType(TypedDict, total=False):
    """One kind of node that the autoscaler can start."""

    resources: dict[str, float]
    labels: dict[str, str]
    max_workers: int


class LauncherConfig(TypedDict, total=False):
    """The config of `ray up`, as far as it is read here."""

    max_workers: int
    head_node_type: str
    available_node_types: dict[str, NodeType]


def alive_nodes() -> dict[str, AliveNode]:
    """Return the nodes that the connected cluster has now, by their ids."""
    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}


def usable_resources(joined: bool, excluded: Collection[str] = ()) -> list[NodeResources]:
    """Return what each node has that trials can use: nodes that are alive, and those the autoscaler may start.

    Parameters
    ----------
    joined
        Whether the cluster ran before this process connected to it. Only such a cluster can have an autoscaler.
    excluded
        Ids of nodes that do not count. The autoscaler is taken to start none in their stead.
    """
    alive = {node_id: _read_resources(node) for node_id, node in alive_nodes().items()}
    nodes = possible_nodes(list(alive.values()), _read_launcher_config() if joined else None)
    return remove_nodes(nodes, [node for node_id, node in alive.items() if node_id in excluded])


def possible_nodes(alive: Sequence[NodeResources], launcher: LauncherConfig | None) -> list[NodeResources]:
    """Return the nodes that a cluster can have: those alive, and those that its autoscaler may start.

    Parameters
    ----------
    alive
        The nodes of now.
    launcher
        The filled-in config of `ray up`; None for a cluster that does not scale. Workers are counted up to its
        `max_workers`, over all types and per type, types with GPUs first. A type that does not state its resources is
        not counted.
    """
    if launcher is None:
        return list(alive)
    node_types = launcher.get("available_node_types", {})
    types = {
        name: NodeResources(
            name,
            float(kind["resources"]["CPU"]),
            float(kind["resources"].get("GPU", 0)),
            accelerator=_find_accelerator(kind.get("labels", {}), kind["resources"]),
        )
        for name, kind in node_types.items()
        if name != launcher.get("head_node_type") and "CPU" in kind.get("resources", {})
    }
    left = int(launcher.get("max_workers", 0))
    workers: list[NodeResources] = []
    for name, node in sorted(types.items(), key=lambda item: -item[1].gpus):
        count = min(left, int(node_types[name].get("max_workers", left)))
        workers += [node] * count
        left -= count
    if len(workers) <= sum(not node.is_head for node in alive):
        return list(alive)
    return [node for node in alive if node.is_head] + workers


def remove_nodes(nodes: Iterable[NodeResources], removed: Iterable[NodeResources]) -> list[NodeResources]:
    """Return the nodes without one for each node to remove: the one with its name, else one with the same resources.

    Nodes that the autoscaler may start have no address yet, so an alive node stands for one of its kind.
    """
    left = list(nodes)
    for node in removed:
        alike = [each for each in left if (each.cpus, each.gpus, each.is_head) == (node.cpus, node.gpus, node.is_head)]
        if alike:
            left.remove(min(alike, key=lambda each: each.name != node.name))
    return left


def _read_resources(node: AliveNode) -> NodeResources:
    have: Mapping[str, float] = node["Resources"]
    is_head = "node:__internal_head__" in have
    accelerator = _find_accelerator(node.get("Labels", {}), have)
    return NodeResources(node["NodeManagerAddress"], have.get("CPU", 0.0), have.get("GPU", 0.0), is_head, accelerator)


def _find_accelerator(labels: Mapping[str, str], resources: Mapping[str, float]) -> str | None:
    """Return the kind of a node's GPUs: by its label, else by the resource that `ray up` writes for known machines."""
    named = [name.removeprefix(_TYPE_RESOURCE) for name in resources if name.startswith(_TYPE_RESOURCE)]
    return labels.get(ACCELERATOR_LABEL) or next(iter(named), None)


def _read_launcher_config() -> LauncherConfig | None:
    path = LAUNCHER_CONFIG.expanduser()
    if not path.is_file():
        return None
    config: LauncherConfig | None = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config if isinstance(config, dict) else None
