"""What a worker holds, item by item: how many bytes, where, when, and what allocates them.

Items of one phase are there together, those of two phases are not. So a worker needs as much as its largest phase.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["start", "pass", "step", "evaluation"]
"""`start`: the backbone is read. `pass`: forward and backward passes. `step`: the optimiser's. `evaluation`: scoring
and saving."""
PHASES: tuple[Phase, ...] = ("start", "pass", "step", "evaluation")
RUNNING: tuple[Phase, ...] = ("pass", "step", "evaluation")
"""From the moment that the engine is made."""

Place = Literal["device", "host", "disk"]
Kind = Literal["parameters", "gradients", "optimizer", "gathered", "buffers", "activations", "outside"]
"""`outside`: what CUDA and NCCL allocate beside torch."""


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """Something that a worker holds."""

    name: str
    kind: Kind
    bytes: int
    source: str
    """File and setting of the library that allocates it, or who measured it."""
    place: Place = "device"
    phases: tuple[Phase, ...] = RUNNING
    certain: bool = False
    """Whether a run cannot do without it. Buffers, activations and contexts are estimates."""
    on_main: bool = False
    """Whether rank 0 alone has it."""


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """What one worker holds with a ZeRO stage and offload: on its device, in CPU memory beside it, on a disk."""

    stage: int
    offload: str
    items: tuple[MemoryItem, ...]

    @property
    def device_peak(self) -> int:
        """Bytes on the device in the largest phase, with all that CUDA and NCCL allocate."""
        return self._peak("device", set())

    @property
    def device_total(self) -> int:
        """Bytes that torch allocates on the device in the largest phase, without activations."""
        return self._peak("device", {"activations", "outside"})

    @property
    def certain_peak(self) -> int:
        """Bytes on the device in the largest phase that no estimate is in: the run needs more than these."""
        return max(sum(each.bytes for each in self._list("device", phase) if each.certain) for phase in PHASES)

    @property
    def host(self) -> int:
        """Bytes of rank 0 in CPU memory in the largest phase."""
        return self._peak("host", set())

    def count_host(self, workers: int) -> int:
        """Return the bytes that so many workers have in the memory of one machine in the largest phase."""
        return max(
            sum(each.bytes * (1 if each.on_main else workers) for each in self._list("host", phase)) for phase in PHASES
        )

    @property
    def disk(self) -> int:
        """Bytes that an offload keeps on a disk."""
        return self._peak("disk", set())

    @property
    def parameters(self) -> int:
        """Bytes of weights on the device."""
        return self.count_kind("parameters")

    @property
    def gradients(self) -> int:
        """Bytes of gradients on the device, in the dtype that they are summed in."""
        return self.count_kind("gradients")

    @property
    def optimizer(self) -> int:
        """Bytes on the device of float32 copies of weights and gradients, and of Adam's moments."""
        return self.count_kind("optimizer")

    @property
    def gathered(self) -> int:
        """Bytes of weights that ZeRO-3 has whole on the device."""
        return self.count_kind("gathered")

    def count_kind(self, kind: Kind) -> int:
        """Return the most bytes of a kind that are on the device at a time."""
        return max(sum(each.bytes for each in self._list("device", phase) if each.kind == kind) for phase in PHASES)

    def _peak(self, place: Place, without: set[Kind]) -> int:
        return max(sum(each.bytes for each in self._list(place, phase) if each.kind not in without) for phase in PHASES)

    def _list(self, place: Place, phase: Phase) -> list[MemoryItem]:
        return [each for each in self.items if each.place == place and phase in each.phases]
