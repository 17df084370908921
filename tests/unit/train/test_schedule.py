"""Learning rates, step by step."""

from __future__ import annotations

import json
import math
from typing import get_args

import numpy as np
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


@pytest.mark.parametrize(("rounding", "warm"), [("down", 1), ("up", 2)])
@pytest.mark.parametrize("schedule", ["constant_with_warmup", "linear", "cosine_with_min_lr"])
def test_warm_up_is_rounded_down_or_up(schedule: str, rounding: str, warm: int) -> None:
    optim = OptimConfig(learning_rate=1.0, schedule=schedule, warmup_ratio=0.02, warmup_rounding=rounding)
    rate = create_schedule(optim, 75)  # 1.5 steps
    assert [rate(step) for step in range(warm + 1)] == pytest.approx([step / warm for step in range(warm)] + [1.0])


def test_inverse_sqrt_falls_as_the_root_of_the_step() -> None:
    rate = create_schedule(OptimConfig(learning_rate=1.0, schedule="inverse_sqrt", warmup_ratio=0.04), 100)
    assert [rate(step) for step in (2, 4, 16, 64)] == pytest.approx([0.5, 1.0, 0.5, 0.25])


def test_a_plateau_takes_a_tenth_after_ten_evaluations_that_did_not_fall() -> None:
    optim = OptimConfig(learning_rate=1.0, schedule="reduce_lr_on_plateau")
    rate, rates = create_schedule(optim, 100), []
    for loss in [0.9, 0.8, *[0.8] * 11, 0.7, *[0.7] * 11]:
        # An interrupted run goes on from what was written.
        resumed = create_schedule(optim, 100)
        resumed.restore(json.loads(json.dumps(rate.state())))
        rate = resumed
        rates.append((rate(0), rate(50)))
        rate.observe({"val/loss": loss})
    assert rates == pytest.approx(np.repeat([[1.0, 1.0], [0.1, 0.1]], [13, 12], axis=0))
    assert rate(50) == pytest.approx(0.01)


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
