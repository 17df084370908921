"""Whether every node of a cluster can work with this search: same package, same storage folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Container
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import gazetune
from gazetune.errors import InputError

TIMEOUT = 120.0
"""Seconds until a node has to have started a worker and answered."""


def require_shared(storage: Path, only: Container[str] | None = None) -> None:
    """Check on every node of the connected cluster that it sees the storage folder and has this package's version.

    With `only`, just the nodes with these ids are asked.

    Checkpoints are written by the workers and read by whichever node goes on with a trial, so the folder has to lie on
    a file system that all nodes mount at the same path.

    Raises
    ------
    InputError
        Naming the first node where that is not so.
    """
    nodes = {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and (only is None or node["NodeID"] in only)
    }
    storage.mkdir(parents=True, exist_ok=True)
    mark = storage.resolve() / f".seen-by-all-{uuid.uuid4().hex}"
    mark.touch()
    try:
        ask = ray.remote(num_cpus=0)(_look)
        asked = [
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(str(mark))
            for node in nodes
        ]
        for address, answer in zip(nodes.values(), asked, strict=True):
            _judge(address, answer, storage)
    finally:
        mark.unlink(missing_ok=True)


def _judge(address: str, answer: ray.ObjectRef[tuple[bool, str]], storage: Path) -> None:
    try:
        seen, version = ray.get(answer, timeout=TIMEOUT)
    except ray.exceptions.GetTimeoutError as error:
        raise InputError(f"node {address} of the cluster started no worker within {TIMEOUT:.0f} s") from error
    except (ray.exceptions.RayError, ImportError) as error:
        last = str(error).strip().splitlines()[-1]
        need = f"gazetune {gazetune.__version__} must be installed on every node"
        raise InputError(f"node {address} of the cluster cannot run this package ({last}); {need}") from error
    if version != gazetune.__version__:
        raise InputError(f"node {address} of the cluster has gazetune {version}, this is {gazetune.__version__}")
    if not seen:
        line = f"--storage '{storage}' is not shared: node {address} of the cluster does not see it"
        raise InputError(f"{line}; accepted: a folder that every node mounts at this path")


def _look(mark: str) -> tuple[bool, str]:
    return os.path.exists(mark), gazetune.__version__
