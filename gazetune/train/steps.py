"""Which pairs every optimiser step of a run sees, as a pure function of the step: resuming needs no loader state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gazetune.config import TrainConfig


@dataclass(frozen=True)
class StepPlan:
    """The optimiser steps of a run over `pairs` training pairs, counted from 0."""

    pairs: int
    batch_size: int
    accumulate: int
    epochs: float
    seed: int

    @classmethod
    def of(cls, train: TrainConfig, pairs: int) -> StepPlan:
        """Return the plan of a train section."""
        return cls(pairs, train.batch_size, train.accumulate, train.epochs, train.seed)

    @property
    def pairs_per_step(self) -> int:
        """Pairs of one full optimiser step, over all workers."""
        return self.batch_size * self.accumulate

    @property
    def steps_per_epoch(self) -> int:
        """The last step of an epoch takes what is left, so every pair is seen once an epoch."""
        return math.ceil(self.pairs / self.pairs_per_step)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the full budget."""
        return max(1, round(self.epochs * self.steps_per_epoch))

    def examples(self, steps: int) -> int:
        """Training pairs seen once `steps` optimiser steps are done."""
        epochs, rest = divmod(steps, self.steps_per_epoch)
        return epochs * self.pairs + rest * self.pairs_per_step

    def first_step_reaching(self, examples: int) -> int:
        """The number of steps after which at least `examples` pairs have been seen, or the last one."""
        epochs, rest = divmod(examples, self.pairs)
        steps = epochs * self.steps_per_epoch + math.ceil(rest / self.pairs_per_step)
        return min(steps, self.total_steps)

    def step_pairs(self, step: int) -> NDArray[np.int64]:
        """Indices of the pairs of optimiser step `step`."""
        epoch, rest = divmod(step, self.steps_per_epoch)
        first = rest * self.pairs_per_step
        return _order(self.seed, epoch, self.pairs)[first : first + self.pairs_per_step]

    def shard(self, step: int, rank: int, world: int) -> list[NDArray[np.int64]]:
        """The pairs of worker `rank` of `world`, one array for each forward pass of the step; some may be empty."""
        passes = np.array_split(self.step_pairs(step), self.accumulate)
        return [np.array_split(pairs, world)[rank] for pairs in passes]


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, pairs: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(pairs)
