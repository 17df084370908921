"""The forward passes of each optimiser step, made in a thread while the step before is computed.

A step reads `batch_size * accumulate` pairs. Each worker reads its share of them in one or several forward passes:

    train.batch_tokens unset   `accumulate` passes, pairs in the order of the plan
    train.batch_tokens: B      as many passes as needed, each with pairs of similar length and at most B positions
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetune.config import TrainConfig
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import EncodedSplit, PairBatch
from gazetune.reward.layout.passes import divide_passes
from gazetune.train.processes.worker_group import Worker
from gazetune.train.steps import StepPlan


@dataclass(frozen=True)
class ForwardPass:
    """One forward pass of one worker."""

    batch: PairBatch
    has_own_pairs: bool
    """False where the worker has no pair left. It then takes part in the collectives with a pair of another worker."""


class PassPrefetcher:
    """Makes the forward passes of this worker, those of the next step in advance."""

    def __init__(
        self, train: TrainConfig, plan: StepPlan, split: EncodedSplit, layout: BatchLayout, worker: Worker
    ) -> None:
        self._plan, self._split, self._layout, self._worker = plan, split, layout, worker
        self._budget = train.batch_tokens
        self._lengths = split.pair_lengths(layout) if self._budget else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: tuple[int, Future[list[ForwardPass]]] | None = None

    def get_passes(self, step: int) -> list[ForwardPass]:
        """Return the passes of a step, on the worker's device, and begin with those of the next one."""
        ahead = self._ahead
        passes = ahead[1].result() if ahead is not None and ahead[0] == step else self._make_passes(step)
        self._ahead = None
        if step + 1 < self._plan.total_steps:
            self._ahead = (step + 1, self._thread.submit(self._make_passes, step + 1))
        return passes

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def own_pairs(self, step: int) -> Sequence[NDArray[np.int64]]:
        """Return the pairs that this worker reads in each pass of a step; some arrays may be empty."""
        if self._budget is None or self._lengths is None:
            return self._plan.worker_pairs(step, self._worker.rank, self._worker.world_size)
        pairs = self._plan.step_pairs(step)
        passes = divide_passes(self._lengths[pairs], self._budget, self._worker.world_size)
        return [pairs[shares[self._worker.rank]] for shares in passes]

    def _make_passes(self, step: int) -> list[ForwardPass]:
        passes = []
        for own in self.own_pairs(step):
            # A worker without a pair still takes part in the collectives, with one pair that weighs nothing.
            pairs = own if len(own) else self._plan.step_pairs(step)[:1]
            batch = self._split.batch_pairs(pairs, self._layout).to(self._worker.device)
            passes.append(ForwardPass(batch, has_own_pairs=len(own) > 0))
        return passes
