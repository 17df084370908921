from __future__ import annotations

import math

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from gazetune.search.study.importance import ENOUGH, parameter_importance

SPACE: dict[str, BaseDistribution] = {
    "optim.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    "optim.weight_decay": FloatDistribution(0.0, 0.1),
    "gaze.features.FFD": CategoricalDistribution([False, True]),
    "gaze.features.TRT": CategoricalDistribution([False, True]),
    "projector.dropout [arm=a]": CategoricalDistribution(["[0.0, 0.1]", "[0.1, 0.3]"]),
}
KEYS = {name: name.split(" ")[0].removesuffix(".FFD").removesuffix(".TRT") for name in SPACE}


def trials(count: int, spaces: list[dict[str, BaseDistribution]] | None = None) -> list[FrozenTrial]:
    """COMPLETE trials with random parameters; how good one is depends on its learning rate alone."""
    random = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=random)
    made = []
    for number in range(count):
        space = (spaces or [SPACE])[number % len(spaces or [SPACE])]
        params = study.ask(space).params
        value = 0.9 - 0.1 * abs(math.log10(params["optim.learning_rate"]) + 3)
        made.append(create_trial(value=value, params=params, distributions=space))
    return made


def test_the_one_axis_that_matters_has_most_of_the_importance() -> None:
    found = parameter_importance(trials(80), "maximize", KEYS)
    assert next(iter(found.shares)) == "optim.learning_rate" and found.shares["optim.learning_rate"] > 0.6
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.trials == 80 and found.missing is None


def test_shares_have_the_users_keys_whatever_optuna_calls_the_parameters() -> None:
    found = parameter_importance(trials(20), "maximize", KEYS)
    assert set(found.shares) == {"optim.learning_rate", "optim.weight_decay", "gaze.features", "projector.dropout"}
    each = parameter_importance(trials(20), "maximize", {name: name for name in SPACE}).shares
    assert found.shares["gaze.features"] == pytest.approx(each["gaze.features.FFD"] + each["gaze.features.TRT"])


def test_what_is_better_decides_what_matters() -> None:
    upper = [trial for trial in trials(200) if trial.params["optim.learning_rate"] > 1e-3]
    for trial in upper:
        # Among the worst the learning rate says nothing, the weight decay all.
        worst = 0.1 * trial.params["optim.weight_decay"]
        trial.value = trial.value if trial.params["optim.learning_rate"] < 2e-3 else worst
    best = parameter_importance(upper, "maximize", KEYS)
    worst_ones = parameter_importance(upper, "minimize", KEYS)
    assert best.shares["optim.learning_rate"] > best.shares["optim.weight_decay"]
    assert worst_ones.shares["optim.weight_decay"] > best.shares["optim.weight_decay"]
    assert next(iter(worst_ones.shares)) == "optim.weight_decay"


def test_an_axis_that_half_of_the_trials_have_is_judged_too() -> None:
    without = {name: each for name, each in SPACE.items() if name != "optim.weight_decay"}
    found = parameter_importance(trials(80, [SPACE, without]), "maximize", KEYS)
    assert 0 < found.shares["optim.weight_decay"] < found.shares["optim.learning_rate"]


def test_too_few_trials_say_nothing_but_why() -> None:
    found = parameter_importance(trials(ENOUGH - 1), "maximize", KEYS)
    assert (found.shares, found.missing) == ({}, f"that takes {ENOUGH} COMPLETE trials, and there are {ENOUGH - 1}")
    assert parameter_importance(trials(ENOUGH), "maximize", KEYS).shares


def test_trials_that_are_all_alike_say_nothing_but_why() -> None:
    alike = trials(20)
    for trial in alike:
        trial.value = 0.5
    found = parameter_importance(alike, "maximize", KEYS)
    assert (found.shares, found.missing) == ({}, "the best COMPLETE trials are like all others")
