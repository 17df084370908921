"""The cluster and the slots of a search, started while its data are prepared.

Starting Ray, and workers that import what trains a model, takes as long as preparing the data of a small search.
Neither needs the other, so both are done at once::

    main thread     import what prepares --> prepare data and gaze --------> wait() --> take_slots() --> trials
    other thread    join the cluster -----> start the slots (their workers import torch and wait for jobs)

Where reading measures are predicted by other processes on the cluster, these need the CPUs and GPUs: the slots end
then, and start when the data are ready.
"""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING

from gazetune.cluster.connect import ClusterSize, connect_to_cluster, disconnect_from_cluster
from gazetune.cluster.node_watch import NodeWatch
from gazetune.config import ResourcesConfig
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.own_trials import own_trials
from gazetune.search.study.storage import find_study, own_study_url
from gazetune.trials.progress import ProgressDisplay

if TYPE_CHECKING:
    from gazetune.trials.slot_pool import SlotPool

SLOT_END_SECONDS = 60.0
"""How long a slot may take to give its CPUs back."""


class ClusterStart:
    """Joins the cluster and starts the slots in a thread. Leaving the context leaves the cluster."""

    def __init__(
        self, address: str | None, space: SearchSpace, folder: SearchFolder, progress: ProgressDisplay
    ) -> None:
        """`address` as in `connect_to_cluster`; the slots have the shapes of the space's trials."""
        self._address, self._space, self._folder, self._progress = address, space, folder, progress
        self._size: ClusterSize | None = None
        self._slots: SlotPool | None = None
        self._error: BaseException | None = None
        self._started, self._left = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold_cluster, name="cluster", daemon=True)

    def __enter__(self) -> ClusterStart:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.wait()  # a start of Ray cannot be called off half-way
        if self._slots is not None:
            self._slots.abandon()
        if self._size is not None:
            disconnect_from_cluster()
        self._left.set()
        self._thread.join()

    def wait(self) -> ClusterSize:
        """Return how large the cluster is, once it is joined and its slots are on their way.

        Raises
        ------
        InputError, RunError
            As `connect_to_cluster`.
        """
        self._started.wait()
        if self._error is not None:
            raise self._error
        assert self._size is not None
        return self._size

    def free_resources(self) -> ClusterSize:
        """Wait for the cluster and let the slots end, so that others can have their CPUs and GPUs.

        Raises
        ------
        InputError, RunError
            As `wait`.
        """
        size = self.wait()
        if self._slots is not None:
            self._slots.close(SLOT_END_SECONDS)
            self._slots = None
        return size

    def take_slots(self) -> SlotPool:
        """Return the slots; they start now where others needed their place before.

        Raises
        ------
        InputError, RunError
            As `wait`.
        """
        size = self.wait()
        if self._slots is None:
            self._slots = self._start_slots(size)
        return self._slots

    def _hold_cluster(self) -> None:
        """Start the cluster and the slots, and stay until they are left.

        Linux ends Ray's processes with the thread that has started them, as they asked it to.
        """
        try:
            size = connect_to_cluster(self._address, self._space.resource_shapes(), self._folder.path.parent)
            self._size = size
            self._slots = self._start_slots(size)
        except BaseException as error:  # raised in the main thread, when it waits
            self._error = error
        self._started.set()
        self._left.wait()

    def _start_slots(self, size: ClusterSize) -> SlotPool:
        # Imports Ray Train, and with it torch, for seconds in which Ray starts already.
        from gazetune.trials.slot_pool import SlotPool

        search = self._space.config.search
        return SlotPool(
            self._space.resource_shapes(),
            search.node_patience,
            NodeWatch(size.joined, self._folder.path.parent),
            search.trials - self._count_finished(),
            self._folder.slots,
            self._folder.cache,
            self._announce_slots,
        )

    def _count_finished(self) -> int:
        """Return how many trials of the search a driver before this one has finished."""
        search = self._space.config.search
        study = find_study(search.storage or own_study_url(self._folder.path), self._space.name)
        return 0 if study is None else sum(trial.state.is_finished() for trial in own_trials(study))

    def _announce_slots(self, count: Counter[ResourcesConfig], loss: str | None) -> None:
        self._folder.requests.announce_driver(count.total())
        each = [f"{slots} slot(s) of {shape.workers} worker(s)" for shape, slots in count.items()] or ["0 slot(s)"]
        self._progress.print_line(", ".join(each) + (f": {loss}" if loss else ""))
