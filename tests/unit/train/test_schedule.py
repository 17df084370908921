"""Learning rates, step by step."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from gazetune.config import OptimConfig
from gazetune.train.schedule import create_schedule

SCHEDULES = get_args(OptimConfig.model_fields["schedule"].annotation)


@pytest.mark.parametrize("total", [1, 7, 99, 100, 250])
@pytest.mark.parametrize("floor", [0.0, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("warmup", [None, 0.0, 0.1])
def test_cosine_with_min_lr_is_the_recipes_formula_at_every_step(
    total: int, floor: float, warmup: float | None
) -> None:
    rate = create_schedule(OptimConfig(learning_rate=3e-4, min_lr_ratio=floor, warmup_ratio=warmup), total)
    warm = int((0.01 if warmup is None else warmup) * total)
    for step in range(total):
        if step < warm:
            expected = 3e-4 * step / warm
        else:
            progress = (step - warm) / max(1, total - warm)
            expected = 3e-4 * ((1 - floor) * (1 + math.cos(math.pi * progress)) / 2 + floor)
        assert rate(step) == pytest.approx(expected, rel=1e-9)


def test_other_schedules_warm_up_over_a_fiftieth() -> None:
    rate = create_schedule(OptimConfig(learning_rate=1.0, schedule="constant_with_warmup"), 200)
    assert [rate(step) for step in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate(199) == 1.0


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_falling_schedules_end_near_nothing(schedule: str) -> None:
    rate = create_schedule(OptimConfig(learning_rate=2.0, schedule=schedule, warmup_ratio=0.0), 100)
    rates = [rate(step) for step in range(100)]
    assert rates[0] == 2.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.03


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_is_a_function_of_the_step_alone(schedule: str) -> None:
    rate = create_schedule(OptimConfig(learning_rate=0.1, schedule=schedule), 60)
    forward = [rate(step) for step in range(60)]
    assert forward == [rate(step) for step in reversed(range(60))][::-1]
    assert all(0 <= value <= 0.1 for value in forward)
    assert max(forward) > 0.09
