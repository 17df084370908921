"""The plan of steps: a pure function of the step, whatever the workers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from gazetune.config import TrainConfig
from gazetune.train.steps import StepPlan

PLANS = [
    StepPlan(pairs, batch_size, accumulate, epochs, 3)
    for pairs, batch_size, accumulate, epochs in itertools.product((1, 7, 100), (1, 13), (1, 3), (0.3, 2.5))
]


def test_a_plan_takes_its_numbers_from_the_train_section() -> None:
    train = TrainConfig(batch_size=4, accumulate=2, epochs=1.5, seed=2**63 - 1)
    plan = StepPlan.from_config(train, 30)
    assert (plan.pairs, plan.pairs_per_step, plan.epochs) == (30, 8, 1.5)
    assert len(plan.step_pairs(0)) == 8, "the largest seed is a seed too"


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_an_epoch_covers_each_pair_once(plan: StepPlan) -> None:
    for epoch in range(2):
        first = epoch * plan.steps_per_epoch
        seen = np.concatenate([plan.step_pairs(first + step) for step in range(plan.steps_per_epoch)])
        assert sorted(seen.tolist()) == list(range(plan.pairs))


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_examples_count_exactly_what_the_steps_hold(plan: StepPlan) -> None:
    counts = [plan.examples_after(steps) for steps in range(plan.total_steps + 1)]
    held = [len(plan.step_pairs(step)) for step in range(plan.total_steps)]
    assert counts[0] == 0
    assert np.diff(counts).tolist() == held
    assert min(held) > 0


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_first_step_reaching_is_the_earliest_one_or_the_last(plan: StepPlan) -> None:
    counts = [plan.examples_after(steps) for steps in range(plan.total_steps + 1)]
    for examples in range(1, counts[-1] + 3):
        expected = next((step for step, count in enumerate(counts) if count >= examples), plan.total_steps)
        assert plan.first_step_reaching(examples) == expected


@pytest.mark.parametrize(
    ("epochs", "steps"), [(1, 13), (2, 26), (0.5, 6), (1.5, 20), (0.01, 1)], ids=lambda value: str(value)
)
def test_the_budget_is_the_epochs_rounded_to_steps_and_at_least_one(epochs: float, steps: int) -> None:
    plan = StepPlan(100, 8, 1, epochs, 0)
    assert plan.steps_per_epoch == math.ceil(100 / 8) == 13
    assert plan.total_steps == steps


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("plan", PLANS[::3], ids=str)
def test_shards_of_all_workers_are_the_steps_pairs(plan: StepPlan, world: int) -> None:
    for step in range(plan.total_steps):
        shards = [plan.worker_pairs(step, rank, world) for rank in range(world)]
        # The same number of passes everywhere, or a collective would hang.
        assert {len(shard) for shard in shards} == {plan.accumulate}
        # Pass by pass over the workers in order: that is the order in which one worker would see them.
        dealt = np.concatenate([shards[rank][turn] for turn in range(plan.accumulate) for rank in range(world)])
        assert dealt.tolist() == plan.step_pairs(step).tolist()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_no_worker_gets_more_of_a_pass_than_its_share(world: int) -> None:
    plan = StepPlan(100, 8, 2, 1, 0)
    sizes = [len(part) for step in range(7) for rank in range(world) for part in plan.worker_pairs(step, rank, world)]
    assert max(sizes) == math.ceil(8 / world)


def test_a_step_is_the_same_in_a_fresh_plan() -> None:
    plan, fresh = StepPlan(100, 8, 1, 2, 5), StepPlan(100, 8, 1, 2, 5)
    for step in range(20):
        plan.step_pairs(step)
    assert fresh.step_pairs(17).tolist() == plan.step_pairs(17).tolist()


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    plan = StepPlan(100, 100, 1, 2, 5)
    orders = [plan.step_pairs(0), plan.step_pairs(1), StepPlan(100, 100, 1, 2, 6).step_pairs(0), np.arange(100)]
    assert len({tuple(order.tolist()) for order in orders}) == 4


@pytest.mark.parametrize(
    ("batch_size", "eval_every", "milestones", "expected"),
    [
        (16, 0, (), {16, 32, 40}),  # 256 pairs are 16 steps
        (1000, 0, (), {1}),
        (16, 25, (), {25, 40}),
        (16, 40, (), {40}),
        (16, 1, (160, 320), {10, 20, 40}),
        (16, 1, (161, 10**9), {11, 40}),
    ],
)
def test_evaluations_follow_the_rhythm_or_the_milestones(
    batch_size: int, eval_every: int, milestones: tuple[int, ...], expected: set[int]
) -> None:
    plan = StepPlan(640, batch_size, 1, 1, 0)
    assert plan.evaluation_steps(eval_every, milestones) == expected
