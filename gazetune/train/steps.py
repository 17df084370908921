"""Which pairs every optimiser step of a run sees: a pure function of the step, so resuming needs no loader state.

An epoch shuffles all pairs. A step takes the next `batch_size * accumulate` of them, in `accumulate` forward passes.
Each worker reads its share of a pass. With 7 pairs, `batch_size` 2, `accumulate` 2 and two workers:

    pairs, shuffled   3 0 | 5 1 | 6 2 | 4
    step              0           1
    pass              0     1     0     1
    worker            0 1   0 1   0 1   0
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gazetune.config import TrainConfig

EVALUATED_PAIRS = 256
"""With `train.eval_every: 0` an evaluation follows about this many training pairs (the recipe's rule)."""


@dataclass(frozen=True)
class StepPlan:
    """The optimiser steps of a run over `pairs` training pairs, counted from 0.

    Examples
    --------
    >>> plan = StepPlan(pairs=7, batch_size=2, accumulate=2, epochs=1.5, seed=0)
    >>> plan.pairs_per_step, plan.steps_per_epoch, plan.total_steps
    (4, 2, 3)
    >>> [len(plan.step_pairs(step)) for step in range(plan.total_steps)]
    [4, 3, 4]
    >>> [plan.examples_after(steps) for steps in (1, 2, 3)]
    [4, 7, 11]
    """

    pairs: int
    batch_size: int
    accumulate: int
    epochs: float
    seed: int

    @classmethod
    def from_config(cls, train: TrainConfig, pairs: int) -> StepPlan:
        """Return the plan of a train section."""
        return cls(pairs, train.batch_size, train.accumulate, train.epochs, train.seed)

    @property
    def pairs_per_step(self) -> int:
        """Pairs of one full optimiser step, over all workers."""
        return self.batch_size * self.accumulate

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch; the last one takes what is left, so every pair is seen once an epoch."""
        return math.ceil(self.pairs / self.pairs_per_step)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the full budget."""
        return max(1, round(self.epochs * self.steps_per_epoch))

    @property
    def whole_micro_batches(self) -> int:
        """Forward passes of `batch_size` pairs over all epochs, without the rests; at least one.

        The GazeReward reference takes this for the number of steps of its schedule, whatever it accumulates.

        Examples
        --------
        >>> StepPlan(pairs=7, batch_size=2, accumulate=2, epochs=2, seed=0).whole_micro_batches
        6
        """
        return max(1, int(self.pairs // self.batch_size * self.epochs))

    def examples_after(self, steps: int) -> int:
        """Return how many training pairs have been seen once `steps` optimiser steps are done."""
        epochs, rest = divmod(steps, self.steps_per_epoch)
        return epochs * self.pairs + rest * self.pairs_per_step

    def first_step_reaching(self, examples: int) -> int:
        """Return the number of steps after which at least `examples` pairs have been seen, or that of all steps."""
        epochs, rest = divmod(examples, self.pairs)
        steps = epochs * self.steps_per_epoch + math.ceil(rest / self.pairs_per_step)
        return min(steps, self.total_steps)

    def evaluation_steps(self, eval_every: int, milestones: Sequence[int] = ()) -> frozenset[int]:
        """Return the numbers of steps after which a run is evaluated; its end is always among them.

        Parameters
        ----------
        eval_every
            Steps between two evaluations; 0 stands for about `EVALUATED_PAIRS` training pairs.
        milestones
            Training pairs after which to evaluate; they replace `eval_every` where there are some.

        Examples
        --------
        >>> plan = StepPlan(pairs=640, batch_size=16, accumulate=1, epochs=1, seed=0)  # 40 steps
        >>> sorted(plan.evaluation_steps(0))
        [16, 32, 40]
        >>> sorted(plan.evaluation_steps(0, milestones=[160, 330]))
        [10, 21, 40]
        """
        if milestones:
            steps = {self.first_step_reaching(examples) for examples in milestones}
        else:
            every = eval_every or max(1, round(EVALUATED_PAIRS / self.batch_size))
            steps = set(range(every, self.total_steps, every))
        return frozenset(steps | {self.total_steps})

    def step_pairs(self, step: int) -> NDArray[np.int64]:
        """Return the indices [n] of the pairs of optimiser step `step`."""
        epoch, rest = divmod(step, self.steps_per_epoch)
        first = rest * self.pairs_per_step
        return _shuffle_pairs(self.seed, epoch, self.pairs)[first : first + self.pairs_per_step]

    def worker_pairs(self, step: int, rank: int, world_size: int) -> list[NDArray[np.int64]]:
        """Return the pairs that one worker reads in each forward pass of a step; some arrays may be empty."""
        passes = np.array_split(self.step_pairs(step), self.accumulate)
        return [np.array_split(pairs, world_size)[rank] for pairs in passes]


@lru_cache(maxsize=4)
def _shuffle_pairs(seed: int, epoch: int, pairs: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(pairs)
