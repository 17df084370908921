"""Ray clusters of several nodes on this machine, for tests."""

from __future__ import annotations

import socket

from ray._private.node import Node as Node
from ray.cluster_utils import Cluster

from gazetune.cluster.local_ray import patient_node_start


def start_cluster(
    head_cpus: int, with_dashboard: bool = True, gpus: int = 0, labels: dict[str, str] | None = None
) -> Cluster:
    """Start a cluster whose head has so many CPUs and, as it says, GPUs; its dashboard answers on loopback alone.

    Beside other tests a node may need longer to start than Ray waits for it.
    """
    head: dict[str, object] = {"num_cpus": head_cpus, "num_gpus": gpus, "labels": labels or {}}
    head["object_store_memory"] = 200 << 20
    if with_dashboard:
        head |= {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": find_free_port()}
    with patient_node_start():
        return Cluster(initialize_head=True, head_node_args=head)


def add_node(cluster: Cluster, cpus: int, object_store_mb: int = 200) -> Node:
    """Add a node with so many CPUs to a cluster, and return it once it has joined."""
    with patient_node_start():
        return cluster.add_node(num_cpus=cpus, object_store_memory=object_store_mb << 20)


def find_free_port() -> int:
    """Return a port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
