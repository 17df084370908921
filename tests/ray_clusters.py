"""Ray clusters of several nodes on this machine, for tests."""

from __future__ import annotations

import socket

from ray.cluster_utils import Cluster

ATTEMPTS = 3


def start_cluster(head_cpus: int, with_dashboard: bool = True) -> Cluster:
    """Start a cluster whose head has so many CPUs; its dashboard answers on loopback alone.

    Ray gives a node 30 s to start and has no setting for that. Beside other tests it may need longer, so a start that
    ran out of time is tried again. Any other error is raised at once.
    """
    head: dict[str, object] = {"num_cpus": head_cpus, "object_store_memory": 200 << 20}
    for attempt in range(1, ATTEMPTS + 1):
        if with_dashboard:
            head |= {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": find_free_port()}
        try:
            return Cluster(initialize_head=True, head_node_args=head)
        except Exception as error:
            if attempt == ATTEMPTS or "timed out during startup" not in str(error):
                raise
    raise AssertionError("not reached: the last attempt returns or raises")


def find_free_port() -> int:
    """Return a port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
