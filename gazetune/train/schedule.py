"""Learning-rate schedules: those of transformers, asked for the rate of any step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from transformers import get_scheduler

from gazetune.config import OptimConfig

_RECIPE_WARMUP = {"cosine_with_min_lr": 0.01}
_OTHER_WARMUP = 0.02

PLATEAU = "reduce_lr_on_plateau"
PLATEAU_METRIC = "val/loss"
"""What `reduce_lr_on_plateau` watches. Its function lowers the rate when a value no longer falls."""


class LearningRate:
    """The learning rate of each optimiser step, counted from 0: a call with the step's number returns it.

    All schedules but `reduce_lr_on_plateau` are functions of the step. That one also depends on the evaluations so far,
    of which `observe` is told; its state is plain values, to be written beside the training state.
    """

    def __init__(self, rate: float, factor: Callable[[int], float], plateau: ReduceLROnPlateau | None = None) -> None:
        """`rate` times what `factor` gives for a step, and times that of `plateau` where there is one."""
        self._rate, self._factor, self._plateau = rate, factor, plateau

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        reduced = 1.0 if self._plateau is None else self._plateau.optimizer.param_groups[0]["lr"]
        return self._rate * self._factor(step) * float(reduced)

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Take the metrics of an evaluation; they count from the next step on."""
        if self._plateau is not None:
            self._plateau.step(metrics[PLATEAU_METRIC])

    def state(self) -> dict[str, object]:
        """Return what `restore` takes; empty for a schedule that is a function of the step."""
        if self._plateau is None:
            return {}
        return {**self._plateau.state_dict(), "reduced": self._plateau.optimizer.param_groups[0]["lr"]}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on from the state of a run that was interrupted; an empty one is that of its beginning."""
        if self._plateau is None or not state:
            return
        values = dict(state)
        self._plateau.optimizer.param_groups[0]["lr"] = values.pop("reduced")
        self._plateau.load_state_dict(values)


def create_schedule(optim: OptimConfig, total_steps: int) -> LearningRate:
    """Return the learning rate of each optimiser step, counted from 0.

    `cosine_with_min_lr` warms up linearly over int(ratio * N) steps, then follows
    lr * [(1 - m) * (1 + cos(pi p)) / 2 + m] with m = `min_lr_ratio` (the GazeReward recipe).

    Parameters
    ----------
    optim
        The section of the config.
    total_steps
        The number N of steps that the schedule is made for.

    Examples
    --------
    >>> optim = OptimConfig(learning_rate=0.01, schedule="linear", warmup_ratio=0.5)
    >>> learning_rate = create_schedule(optim, total_steps=4)
    >>> [learning_rate(step) for step in range(4)]
    [0.0, 0.005, 0.01, 0.005]
    """
    ratio = optim.warmup_ratio
    if ratio is None:
        ratio = _RECIPE_WARMUP.get(optim.schedule, _OTHER_WARMUP)
    round_steps = math.ceil if optim.warmup_rounding == "up" else math.floor
    specific = {"min_lr_rate": optim.min_lr_ratio} if optim.schedule == "cosine_with_min_lr" else None
    # The library's scheduler drives an optimiser. One with a single weight is made here, so that the scheduler can be
    # asked for the factor of any step.
    placeholder = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(
        optim.schedule,
        placeholder,
        num_warmup_steps=round_steps(ratio * total_steps),
        num_training_steps=total_steps,
        scheduler_specific_kwargs=specific,
    )
    if isinstance(scheduler, ReduceLROnPlateau):
        return LearningRate(optim.learning_rate, lambda step: 1.0, scheduler)
    factor = cast(LambdaLR, scheduler).lr_lambdas[0]
    return LearningRate(optim.learning_rate, lambda step: float(factor(step)))
