"""The shipped demo proposes the trials that it always did, whatever became of the code in between.

The objective is made up, so nothing is trained. On another processor a proposal may differ in its last digits, since
TPE compares sums of floats; so numbers are compared with a tolerance.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from gazetune.search.space.shipped_spaces import find_space_file
from gazetune.search.space.space_file import read_space
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.samplers import SamplerFactory
from gazetune.search.study.tried_configs import read_tried

RECORDED = Path(__file__).with_name("demo_proposals.json")
"""A line for each trial: what was proposed for it."""


def made_up_accuracy(params: dict[str, Any]) -> float:
    """A value that depends on the proposal alone: best near a learning rate of 0.002, with FFD and TRT."""
    value = 0.7 - 0.1 * abs(math.log10(params["optim.learning_rate"]) + 2.7)
    value += 0.05 * (params["fusion.kind"] == "add")
    return value + 0.02 * len({"FFD", "TRT"} & set(params.get("gaze.features", ())))


def propose_demo() -> list[dict[str, Any]]:
    """Return the 30 proposals of the demo; every fifth trial is PRUNED at a rung and every seventh FAILs."""
    space = read_space(find_space_file("demo"))
    study = optuna.create_study(direction="maximize")
    samplers, tried = SamplerFactory(space, parallel=False), read_tried(study, space)
    proposed = []
    for number in range(space.config.search.trials):
        study.sampler = samplers.make_sampler(number)
        trial = study.ask()
        proposed.append(propose_values(trial, space, tried))
        value = made_up_accuracy(proposed[-1])
        if number % 7 == 6:
            study.tell(trial, state=TrialState.FAIL)
        elif number % 5 == 4:
            trial.report(value, 256)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value)
    return proposed


def test_the_demo_proposes_what_was_recorded() -> None:
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    proposed = propose_demo()
    assert len(proposed) == len(recorded) == 30
    for params, expected in zip(proposed, recorded, strict=True):
        rate = expected["optim.learning_rate"]
        assert params == {**expected, "optim.learning_rate": pytest.approx(rate, rel=1e-9)}
