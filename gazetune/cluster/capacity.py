"""How many trials fit on the nodes of a cluster at once: pure functions of what nodes have and what workers need.

All workers of a trial are alike. A worker lies on one node; the workers of a trial may lie on several. With two workers
of 2 CPUs each:

    node a, 4 CPUs   [ worker ][ worker ]
    node b, 3 CPUs   [ worker ] 1 CPU free     three workers fit, and so one trial (3 // 2)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gazetune.config import ResourcesConfig
from gazetune.errors import InputError
from gazetune.train.limits.compatibility import check_gpu_share

ROUNDING = 1e-9
"""Tolerance of comparisons: sums of shares such as 0.1 + 0.2 must still fit into 0.3."""


@dataclass(frozen=True, slots=True)
class NodeResources:
    """What one node has for trials."""

    name: str
    cpus: float
    gpus: float = 0.0
    is_head: bool = False
    accelerator: str | None = None
    """Kind of its GPUs, as Ray names it; None where that is not known."""


def count_slots(nodes: Iterable[NodeResources], resources: ResourcesConfig) -> int:
    """Return how many trials with the same needs fit on the nodes at once.

    All workers are alike. Each node is filled with as many workers as it holds, and their sum is divided by the workers
    of a trial; the count is therefore exact. With `resources.pack: strict` each node is divided by itself. A share of a
    GPU is a share of one device, as Ray counts it: 0.4 fits twice on a GPU, not 2.5 times.

    Examples
    --------
    >>> nodes = [NodeResources("a", cpus=3), NodeResources("b", cpus=3)]
    >>> count_slots(nodes, ResourcesConfig(workers=2, cpus_per_worker=1))
    3
    >>> count_slots(nodes, ResourcesConfig(workers=1, cpus_per_worker=2))  # a third worker would lie on both nodes
    2
    """
    counts = [_count_workers(node, resources) for node in nodes]
    if resources.pack == "strict":
        return sum(count // resources.workers for count in counts)
    return sum(counts) // resources.workers


def all_trials_fit(nodes: Iterable[NodeResources], trials: Iterable[ResourcesConfig]) -> bool:
    """Tell whether trials with different needs fit on the nodes all at once.

    The largest workers are placed first, GPUs before CPUs, each on the node where it leaves the least free. For trials
    with the same needs the answer agrees with `count_slots`. For others the method is a heuristic (best fit,
    decreasing): it may answer no although some other assignment would fit.

    Examples
    --------
    >>> nodes = [NodeResources("a", cpus=2), NodeResources("b", cpus=2)]
    >>> small, large = ResourcesConfig(workers=1, cpus_per_worker=1), ResourcesConfig(workers=1, cpus_per_worker=2)
    >>> all_trials_fit(nodes, [small, large, small])
    True
    >>> all_trials_fit(nodes, [small, large, large])
    False
    """
    free = [_FreeResources.from_node(node) for node in nodes]
    parts = [part for trial in trials for part in _parts_of_trial(trial)]
    for worker, count in sorted(parts, key=_size_of_part, reverse=True):
        able = [node for node in free if node.can_hold(worker, count)]
        if not able:
            return False
        min(able, key=lambda node: (sum(node.gpus), node.cpus)).reserve(worker, count)
    return True


def largest_resources(choices: Sequence[ResourcesConfig]) -> ResourcesConfig:
    """Return those resources of a trial that occupy the most GPUs, and among equals the most CPUs."""
    return max(choices, key=lambda each: (each.gpus, each.workers * each.cpus_per_worker))


def require_slots(nodes: Sequence[NodeResources], resources: ResourcesConfig) -> int:
    """Return `count_slots`, or refuse when not even one trial fits.

    Raises
    ------
    InputError
        When no node holds one worker, or all nodes together do not hold the workers of one trial; says what a trial
        needs and what the nodes have. Also for GPUs of a worker that it could not use.
    """
    check_gpu_share(resources)
    gpus = resources.gpus_per_worker
    slots = count_slots(nodes, resources)
    if slots:
        return slots
    worker = _format_amounts(resources.cpus_per_worker, gpus, gpus > 0)
    if resources.accelerator is not None:
        worker += f" of the kind {resources.accelerator} (resources.accelerator)"
    have = "; ".join(f"{node.name} has {_format_node(node, gpus > 0)}" for node in nodes)
    have = have or "every node was left out, or there is none"
    if not any(_count_workers(node, resources) for node in nodes):
        keys = "resources.cpus_per_worker, resources.gpus_per_worker"
        raise InputError(f"no node can hold one worker, which needs {worker} ({keys}): {have}")
    need = f"{resources.workers} workers of {worker} each"
    if resources.pack == "strict":
        raise InputError(f"one trial needs {need} on one node (resources.pack: strict), which no node holds: {have}")
    raise InputError(f"one trial needs {need} (resources.workers), more than all nodes together hold: {have}")


@dataclass
class _FreeResources:
    """What a node has free beside the workers that were placed on it."""

    cpus: float
    gpus: list[float] = field(default_factory=list)
    """Free share of each device, 0 to 1."""
    accelerator: str | None = None

    @classmethod
    def from_node(cls, node: NodeResources) -> _FreeResources:
        return cls(node.cpus, [1.0] * math.floor(node.gpus), node.accelerator)

    def can_hold(self, worker: ResourcesConfig, count: int) -> bool:
        if worker.accelerator not in (None, self.accelerator):
            return False
        return _FreeResources(self.cpus, list(self.gpus)).reserve(worker, count)

    def reserve(self, worker: ResourcesConfig, count: int) -> bool:
        """Take what so many workers need; return whether there was enough."""
        for _ in range(count):
            devices, needed = self._choose_devices(worker)
            if self.cpus < worker.cpus_per_worker - ROUNDING or len(devices) < needed:
                return False
            self.cpus -= worker.cpus_per_worker
            for device in devices:
                self.gpus[device] -= min(1.0, worker.gpus_per_worker)
        return True

    def _choose_devices(self, worker: ResourcesConfig) -> tuple[list[int], int]:
        """Return the devices that a worker would get, the fullest first, and how many it needs."""
        needed, share = math.ceil(worker.gpus_per_worker), min(1.0, worker.gpus_per_worker)
        able = [device for device, free in enumerate(self.gpus) if free >= share - ROUNDING]
        return sorted(able, key=lambda device: self.gpus[device])[:needed], needed


def _parts_of_trial(trial: ResourcesConfig) -> list[tuple[ResourcesConfig, int]]:
    """Return what of a trial must lie on one node: each worker for itself, or all of them together."""
    return [(trial, trial.workers)] if trial.pack == "strict" else [(trial, 1)] * trial.workers


def _size_of_part(part: tuple[ResourcesConfig, int]) -> tuple[float, float]:
    worker, count = part
    return count * worker.gpus_per_worker, count * worker.cpus_per_worker


def _format_node(node: NodeResources, with_gpus: bool) -> str:
    kind = f" ({node.accelerator})" if with_gpus and node.accelerator is not None else ""
    return _format_amounts(node.cpus, node.gpus, with_gpus) + kind


def _format_amounts(cpus: float, gpus: float, with_gpus: bool) -> str:
    return f"{cpus:g} CPUs and {gpus:g} GPUs" if with_gpus else f"{cpus:g} CPUs"


def _count_workers(node: NodeResources, resources: ResourcesConfig) -> int:
    """Return how many workers one node holds."""
    if resources.accelerator not in (None, node.accelerator):
        return 0
    count = math.floor(node.cpus / resources.cpus_per_worker + ROUNDING)
    gpus = resources.gpus_per_worker
    if gpus > 1:
        return min(count, math.floor(node.gpus / gpus + ROUNDING))
    if gpus > 0:
        return min(count, math.floor(node.gpus) * math.floor(1 / gpus + ROUNDING))
    return count
