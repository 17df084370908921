from __future__ import annotations

import math

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

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
    middle = sorted(trial.params["optim.learning_rate"] for trial in upper)[len(upper) // 2]
    for trial in upper:
        # In the upper half of the learning rates the weight decay alone says how bad a trial is.
        bad = 0.1 * trial.params["optim.weight_decay"]
        trial.value = trial.value if trial.params["optim.learning_rate"] < middle else bad
    best = parameter_importance(upper, "maximize", KEYS)
    assert next(iter(best.shares)) == "optim.learning_rate"
    mirrored = [create_trial(value=-trial.value, params=trial.params, distributions=SPACE) for trial in upper]
    assert parameter_importance(mirrored, "minimize", KEYS).shares == best.shares


def stopped(trial: FrozenTrial, examples: int) -> FrozenTrial:
    """A trial that a scheduler stopped: it has the values of its evaluations."""
    values = dict.fromkeys(range(100, examples + 1, 100), trial.value)
    return create_trial(
        state=TrialState.PRUNED, params=trial.params, distributions=trial.distributions, intermediate_values=values
    )


def test_what_gets_trials_stopped_matters_though_no_complete_trial_shows_it() -> None:
    """Without FFD every trial is stopped early, with the value that it would have had in the end."""
    ended = [trial if trial.params["gaze.features.FFD"] else stopped(trial, 200) for trial in trials(60)]
    each = {name: name for name in SPACE}
    found = parameter_importance(ended, "maximize", each)
    assert next(iter(found.shares)) == "gaze.features.FFD" and found.trials == 60
    complete = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    assert parameter_importance(complete, "maximize", each).shares["gaze.features.FFD"] < 0.01


def test_a_trial_that_went_further_is_before_one_that_was_stopped_earlier_with_a_better_value() -> None:
    made = trials(40)
    ended = [stopped(trial, 300 if trial.params["gaze.features.TRT"] else 100) for trial in made]
    assert next(iter(parameter_importance(ended, "maximize", {name: name for name in SPACE}).shares)) == (
        "gaze.features.TRT"
    )


def test_each_measure_of_the_masks_has_its_share_however_masks_are_searched() -> None:
    masks = [frozenset({"FFD"} if number % 2 else {"GPT", "nFix"}) for number in range(24)]
    made = [
        create_trial(value=0.5 + 0.1 * ("FFD" in mask) + 0.001 * number, params=trial.params, distributions=SPACE)
        for number, (trial, mask) in enumerate(zip(trials(24), masks, strict=True))
    ]
    found = parameter_importance(made, "maximize", KEYS, masks).by_measure
    assert set(found) == {"nFix", "FFD", "GPT", "TRT", "fixProp"} and sum(found.values()) == pytest.approx(1.0)
    assert max(found["TRT"], found["fixProp"]) < 0.01 and found["FFD"] == pytest.approx(found["GPT"])
    assert parameter_importance(made, "maximize", KEYS, [None] * 24).by_measure == {}, "no trial has gaze"


def test_an_axis_that_half_of_the_trials_have_is_judged_too() -> None:
    without = {name: each for name, each in SPACE.items() if name != "optim.weight_decay"}
    found = parameter_importance(trials(80, [SPACE, without]), "maximize", KEYS)
    assert 0 < found.shares["optim.weight_decay"] < found.shares["optim.learning_rate"]


def test_too_few_trials_say_nothing_but_why() -> None:
    found = parameter_importance(trials(ENOUGH - 1), "maximize", KEYS)
    assert (found.shares, found.missing) == (
        {},
        f"that takes {ENOUGH} trials that were judged, and there are {ENOUGH - 1}",
    )
    assert parameter_importance(trials(ENOUGH), "maximize", KEYS).shares


def test_trials_that_are_all_alike_say_nothing_but_why() -> None:
    alike = trials(20)
    for trial in alike:
        trial.value = 0.5
    found = parameter_importance(alike, "maximize", KEYS)
    assert (found.shares, found.missing) == ({}, "the better half of the trials is like all of them")
