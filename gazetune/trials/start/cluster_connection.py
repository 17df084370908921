"""The cluster of a run and its slots: joined when it is first asked for, and left at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from gazetune.cluster.connect import ClusterSize, connect_to_cluster, disconnect_from_cluster
from gazetune.cluster.node_watch import NodeWatch
from gazetune.config import ResourcesConfig
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.run_folder import RunFolder

if TYPE_CHECKING:
    from gazetune.trials.slot_pool import SlotPool

SLOT_END_SECONDS = 60.0
"""How long a slot may take to give its CPUs back."""


class ClusterConnection:
    """Joins the cluster and starts the slots on demand. Leaving the context leaves the cluster."""

    def __init__(
        self,
        address: str | None,
        shapes: Sequence[ResourcesConfig],
        node_patience: float,
        folder: RunFolder,
        progress: ProgressDisplay,
    ) -> None:
        """`address` as in `connect_to_cluster`; `shapes` and `node_patience` as in `SlotPool`."""
        self._address, self._shapes, self._node_patience = address, shapes, node_patience
        self._folder, self._progress = folder, progress
        self._size: ClusterSize | None = None

    def __enter__(self) -> ClusterConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._size is not None:
            disconnect_from_cluster()

    def join(self) -> ClusterSize:
        """Join the cluster, or start Ray on this machine, unless that was done already.

        Raises
        ------
        InputError, RunError
            As `connect_to_cluster`.
        """
        if self._size is None:
            self._size = connect_to_cluster(self._address, self._shapes, self._folder.path.parent)
        return self._size

    def start_slots(self, jobs: int) -> SlotPool:
        """Start the slots for so many trials that are still to come. Who asks for them closes them.

        Raises
        ------
        InputError, RunError
            As `join`.
        """
        # Imports Ray Train, and with it torch.
        from gazetune.trials.slot_pool import SlotPool

        size = self.join()
        return SlotPool(
            self._shapes,
            self._node_patience,
            NodeWatch(size.joined, self._folder.path.parent),
            jobs,
            self._folder.slots,
            self._folder.cache,
            self._announce_slots,
        )

    def _announce_slots(self, count: Counter[ResourcesConfig], loss: str | None) -> None:
        self._folder.requests.announce_driver(count.total())
        each = [f"{slots} slot(s) of {shape.workers} worker(s)" for shape, slots in count.items()] or ["0 slot(s)"]
        self._progress.print_line(", ".join(each) + (f": {loss}" if loss else ""))
