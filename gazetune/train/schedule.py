"""Learning-rate schedules, as a function of the step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import get_scheduler

from gazetune.config import OptimConfig

_RECIPE_WARMUP = {"cosine_with_min_lr": 0.01}
_OTHER_WARMUP = 0.02


def create_schedule(optim: OptimConfig, total_steps: int) -> Callable[[int], float]:
    """Return the learning rate of each optimiser step, counted from 0.

    `cosine_with_min_lr` warms up linearly over int(ratio * N) steps, then follows
    lr * [(1 - m) * (1 + cos(pi p)) / 2 + m] with m = `min_lr_ratio` (the GazeReward recipe).
    """
    ratio = optim.warmup_ratio
    if ratio is None:
        ratio = _RECIPE_WARMUP.get(optim.schedule, _OTHER_WARMUP)
    specific = {"min_lr_rate": optim.min_lr_ratio} if optim.schedule == "cosine_with_min_lr" else None
    # The library's scheduler drives an optimiser; a stand-in of one weight yields the factor for any step.
    stand_in = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(
        optim.schedule,
        stand_in,
        num_warmup_steps=int(ratio * total_steps),
        num_training_steps=total_steps,
        scheduler_specific_kwargs=specific,
    )
    factor = scheduler.lr_lambdas[0]
    return lambda step: optim.learning_rate * float(factor(step))
