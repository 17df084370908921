"""Whether every node of a cluster can work with this search: the same package, the same storage folder.

A file is made in the storage folder, and one short task on each node looks for it there.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import gazetune

TIMEOUT = 120.0
"""Seconds until a node has to have started a worker and answered."""


def find_unusable_nodes(storage: Path, node_ids: Collection[str]) -> dict[str, str]:
    """Ask nodes, by their ids, whether a search can use them; return the problem of each one where it cannot.

    Checkpoints are written by the workers and read by whichever node goes on with a trial, so the folder has to lie on
    a file system that all nodes mount at the same path.
    """
    # A node that is gone in the meantime is asked all the same; its problem is that it cannot run the task.
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] in node_ids}
    storage.mkdir(parents=True, exist_ok=True)
    mark = storage.resolve() / f".seen-by-all-{uuid.uuid4().hex}"
    mark.touch()
    try:
        task = ray.remote(num_cpus=0)(_look_for_mark)
        answers = {
            node_id: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote(
                str(mark)
            )
            for node_id in addresses
        }
        ray.wait(list(answers.values()), num_returns=len(answers), timeout=TIMEOUT)
        problems = {node_id: _find_problem(addresses[node_id], answer, storage) for node_id, answer in answers.items()}
    finally:
        mark.unlink(missing_ok=True)
    return {node_id: problem for node_id, problem in problems.items() if problem is not None}


def _find_problem(address: str, answer: ray.ObjectRef[tuple[bool, str]], storage: Path) -> str | None:
    """Return why a node cannot be used, from what it has answered by now; None for one that can."""
    try:
        seen, version = ray.get(answer, timeout=0)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(answer, force=True)
        return f"node {address} of the cluster started no worker within {TIMEOUT:.0f} s"
    except (ray.exceptions.RayError, ImportError) as error:
        last = str(error).strip().splitlines()[-1]
        need = f"gazetune {gazetune.__version__} must be installed on every node"
        return f"node {address} of the cluster cannot run this package ({last}); {need}"
    if version != gazetune.__version__:
        return f"node {address} of the cluster has gazetune {version}, this is {gazetune.__version__}"
    if not seen:
        line = f"--storage '{storage}' is not shared: node {address} of the cluster does not see it"
        return f"{line}; accepted: a folder that every node mounts at this path"
    return None


def _look_for_mark(mark: str) -> tuple[bool, str]:
    """Run on a node: return whether it sees the file, and its version of this package."""
    return os.path.exists(mark), gazetune.__version__
