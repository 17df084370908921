"""Learning-rate schedules, as a function of the step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import get_scheduler

from gazetune.config import OptimConfig

_RECIPE_WARMUP = {"cosine_with_min_lr": 0.01}
_OTHER_WARMUP = 0.02


def create_schedule(optim: OptimConfig, total_steps: int) -> Callable[[int], float]:
    """Return the function that gives the learning rate of each optimiser step, counted from 0.

    `cosine_with_min_lr` warms up linearly over int(ratio * N) steps, then follows
    lr * [(1 - m) * (1 + cos(pi p)) / 2 + m] with m = `min_lr_ratio` (the GazeReward recipe).

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
    specific = {"min_lr_rate": optim.min_lr_ratio} if optim.schedule == "cosine_with_min_lr" else None
    # The library's scheduler drives an optimiser. One with a single weight is made here, so that the scheduler can be
    # asked for the factor of any step.
    placeholder = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(
        optim.schedule,
        placeholder,
        num_warmup_steps=int(ratio * total_steps),
        num_training_steps=total_steps,
        scheduler_specific_kwargs=specific,
    )
    factor = scheduler.lr_lambdas[0]
    return lambda step: optim.learning_rate * float(factor(step))
