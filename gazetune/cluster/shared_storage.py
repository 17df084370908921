"""Whether every node of a cluster can work with this search: same package, same storage folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import gazetune
from gazetune.errors import InputError

TIMEOUT = 120.0
"""Seconds until a node has to have started a worker and answered."""


def alive_nodes() -> set[str]:
    """Return the ids of the nodes that the connected cluster has now."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def require_shared(storage: Path) -> None:
    """Check on every node of the connected cluster that it sees the storage folder and has this package's version.

    Raises
    ------
    InputError
        Naming the first node where that is not so.
    """
    for reason in refused_nodes(storage, alive_nodes()).values():
        raise InputError(reason)


def refused_nodes(storage: Path, asked: Collection[str]) -> dict[str, str]:
    """Ask nodes, by their ids, whether a search can use them; return the reasons of those where it cannot.

    Checkpoints are written by the workers and read by whichever node goes on with a trial, so the folder has to lie on
    a file system that all nodes mount at the same path.
    """
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] in asked}
    storage.mkdir(parents=True, exist_ok=True)
    mark = storage.resolve() / f".seen-by-all-{uuid.uuid4().hex}"
    mark.touch()
    try:
        ask = ray.remote(num_cpus=0)(_look)
        answers = {
            node: ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(str(mark))
            for node in addresses
        }
        ray.wait(list(answers.values()), num_returns=len(answers), timeout=TIMEOUT)
        reasons = {node: _reason(addresses[node], answer, storage) for node, answer in answers.items()}
    finally:
        mark.unlink(missing_ok=True)
    return {node: reason for node, reason in reasons.items() if reason is not None}


def _reason(address: str, answer: ray.ObjectRef[tuple[bool, str]], storage: Path) -> str | None:
    """Return why a node cannot be used, from what it has answered by now."""
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


def _look(mark: str) -> tuple[bool, str]:
    return os.path.exists(mark), gazetune.__version__
