"""Which trials fit at once: a pure count over the resources of nodes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gazetune.config import ResourcesConfig
from gazetune.errors import InputError

# Sums of shares such as 0.1 + 0.2 must still fit into 0.3.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class NodeResources:
    """What one node has for trials."""

    name: str
    cpus: float
    gpus: float = 0.0
    head: bool = False


class Nodes(Protocol):
    """Asked for the nodes that the cluster has or may start, it also finds out which ones can be used."""

    usable: frozenset[str]
    """Ids of nodes that a slot may be on, as of the last call."""
    refused: frozenset[str]
    """Ids of nodes that no slot may be on; they are not among those returned."""

    def __call__(self) -> Sequence[NodeResources]:
        """Return what those have that slots may be on."""


def count_slots(nodes: Iterable[NodeResources], resources: ResourcesConfig) -> int:
    """Return how many trials fit on the nodes at once.

    A worker lies on one node; the workers of a trial may lie on several. All workers are alike, so filling each node
    with workers and dividing by the workers of a trial is exact. A share of a GPU is a share of one device, as Ray
    counts it: 0.4 fits twice on a GPU, not 2.5 times.
    """
    return sum(_workers_on(node, resources) for node in nodes) // resources.workers


def all_fit(nodes: Iterable[NodeResources], trials: Iterable[ResourcesConfig]) -> bool:
    """Tell whether trials of different needs fit on the nodes all at once.

    The largest workers are placed first, each on the node where it leaves the least, GPUs before CPUs. For trials that
    are alike the answer is that of `count_slots`; for others it may be no where some cleverer way would fit them in.
    """
    left = [_Left.of(node) for node in nodes]
    workers = [trial for trial in trials for _ in range(trial.workers)]
    for worker in sorted(workers, key=lambda each: (each.gpus_per_worker, each.cpus_per_worker), reverse=True):
        able = [node for node in left if node.holds(worker)]
        if not able:
            return False
        min(able, key=lambda node: (sum(node.gpus), node.cpus)).take(worker)
    return True


def widest(shapes: Sequence[ResourcesConfig]) -> ResourcesConfig:
    """Return the shape of trial that occupies the most GPUs, and among those the most CPUs."""
    return max(shapes, key=lambda each: (each.gpus, each.workers * each.cpus_per_worker))


def require_slots(nodes: Sequence[NodeResources], resources: ResourcesConfig) -> int:
    """Return `count_slots`, or refuse when not even one trial fits.

    Raises
    ------
    InputError
        When no node holds one worker, or all nodes together do not hold the workers of one trial; says what a trial
        needs and what the nodes have. Also for a number of GPUs over 1 that is not whole, which Ray does not give out.
    """
    gpus = resources.gpus_per_worker
    if gpus > 1 and gpus != int(gpus):
        raise InputError(f"resources.gpus_per_worker {gpus:g} is not possible; accepted: 0 to 1, or a whole number")
    slots = count_slots(nodes, resources)
    if slots:
        return slots
    worker = _amount(resources.cpus_per_worker, gpus, gpus > 0)
    have = "; ".join(f"{node.name} has {_amount(node.cpus, node.gpus, gpus > 0)}" for node in nodes)
    if not any(_workers_on(node, resources) for node in nodes):
        keys = "resources.cpus_per_worker, resources.gpus_per_worker"
        raise InputError(f"no node can hold one worker, which needs {worker} ({keys}): {have}")
    need = f"{resources.workers} workers of {worker} each"
    raise InputError(f"one trial needs {need} (resources.workers), more than all nodes together hold: {have}")


def possible_nodes(alive: Sequence[NodeResources], launcher: Mapping[str, Any] | None) -> list[NodeResources]:
    """Return the nodes that a cluster can have: those alive, and those that its autoscaler may start.

    Parameters
    ----------
    alive
        The nodes of now.
    launcher
        The filled-in config of `ray up`; None for a cluster that does not scale. Workers are counted up to its
        `max_workers`, over all types and per type, types with GPUs first; a type without stated resources is not.
    """
    if launcher is None:
        return list(alive)
    types = {
        name: NodeResources(name, float(kind["resources"]["CPU"]), float(kind["resources"].get("GPU", 0)))
        for name, kind in launcher.get("available_node_types", {}).items()
        if name != launcher.get("head_node_type") and "CPU" in kind.get("resources", {})
    }
    left = int(launcher.get("max_workers", 0))
    workers: list[NodeResources] = []
    for name, node in sorted(types.items(), key=lambda item: -item[1].gpus):
        count = min(left, int(launcher["available_node_types"][name].get("max_workers", left)))
        workers += [node] * count
        left -= count
    if len(workers) <= sum(not node.head for node in alive):
        return list(alive)
    return [node for node in alive if node.head] + workers


def less(nodes: Iterable[NodeResources], taken: Iterable[NodeResources]) -> list[NodeResources]:
    """Return the nodes but for one of each that is taken away: one with its name or, if it was to come, one like it."""
    left = list(nodes)
    for node in taken:
        like = [each for each in left if (each.cpus, each.gpus, each.head) == (node.cpus, node.gpus, node.head)]
        if like:
            left.remove(min(like, key=lambda each: each.name != node.name))
    return left


@dataclass
class _Left:
    """What a node has left beside the workers that were placed on it."""

    cpus: float
    gpus: list[float] = field(default_factory=list)
    """Of each device."""

    @classmethod
    def of(cls, node: NodeResources) -> _Left:
        return cls(node.cpus, [1.0] * math.floor(node.gpus))

    def holds(self, worker: ResourcesConfig) -> bool:
        wanted, needed = self._devices(worker)
        return self.cpus >= worker.cpus_per_worker - ROUNDING and len(wanted) == needed

    def take(self, worker: ResourcesConfig) -> None:
        self.cpus -= worker.cpus_per_worker
        for device in self._devices(worker)[0]:
            self.gpus[device] -= min(1.0, worker.gpus_per_worker)

    def _devices(self, worker: ResourcesConfig) -> tuple[list[int], int]:
        """Return the devices that a worker would get, the fullest first, and how many it needs."""
        needed, share = math.ceil(worker.gpus_per_worker), min(1.0, worker.gpus_per_worker)
        able = [device for device, free in enumerate(self.gpus) if free >= share - ROUNDING]
        return sorted(able, key=lambda device: self.gpus[device])[:needed], needed


def _amount(cpus: float, gpus: float, with_gpus: bool) -> str:
    return f"{cpus:g} CPUs and {gpus:g} GPUs" if with_gpus else f"{cpus:g} CPUs"


def _workers_on(node: NodeResources, resources: ResourcesConfig) -> int:
    count = math.floor(node.cpus / resources.cpus_per_worker + ROUNDING)
    gpus = resources.gpus_per_worker
    if gpus > 1:
        return min(count, math.floor(node.gpus / gpus + ROUNDING))
    if gpus > 0:
        return min(count, math.floor(node.gpus) * math.floor(1 / gpus + ROUNDING))
    return count
