"""Early stop: at which evaluation a run stands on a plateau."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazetune.config import EarlyStopConfig
from gazetune.train.early_stop import PlateauCounter
from gazetune.train.loop import Training
from gazetune.train.progress import EvaluationReport


def plateau(**values: Any) -> PlateauCounter:
    return PlateauCounter.from_config(EarlyStopConfig(**values))


def stops_at(plateau: PlateauCounter, values: list[float]) -> int | None:
    """The first evaluation, counted from 0, after which the run has trained enough."""
    return next((index for index, value in enumerate(values) if plateau.update(value)), None)


def test_a_run_stops_after_patience_evaluations_without_improvement() -> None:
    values = [0.5, 0.6, 0.6, 0.59, 0.6, 0.7]
    assert [stops_at(plateau(patience=patience), values) for patience in (1, 2, 3, 4)] == [2, 3, 4, None]


def test_an_improvement_starts_the_count_anew() -> None:
    assert stops_at(plateau(patience=2), [0.5, 0.5, 0.6, 0.6, 0.7, 0.7, 0.7]) == 6


def test_of_losses_less_is_better() -> None:
    falling = [3.0, 2.0, 1.0, 1.5, 2.0]
    assert stops_at(plateau(patience=2, metric="val/loss"), falling) == 4
    assert stops_at(plateau(patience=2, metric="val/accuracy"), falling) == 2


def test_what_does_not_exceed_the_best_by_more_than_min_delta_is_no_improvement() -> None:
    assert stops_at(plateau(patience=2, min_delta=0.25), [0.5, 0.75, 0.75]) == 2
    assert stops_at(plateau(patience=2, min_delta=0.25, metric="val/loss"), [0.75, 0.5, 0.5]) == 2
    assert stops_at(plateau(patience=2, min_delta=0.25), [0.25, 0.375, 0.625, 0.75, 0.625]) == 4


def test_a_slow_climb_counts_once_it_adds_up() -> None:
    assert stops_at(plateau(patience=3, min_delta=0.1), [0.5, 0.55, 0.61, 0.66, 0.72, 0.77]) is None


@pytest.mark.parametrize("metric", ["val/accuracy", "val/loss"])
def test_nan_is_no_improvement_and_never_the_best(metric: str) -> None:
    nan = math.nan
    assert stops_at(plateau(patience=2, metric=metric), [0.5, nan, nan]) == 2
    stopping = plateau(patience=2, metric=metric)
    assert stops_at(stopping, [nan, 0.5]) is None
    assert (stopping.best, stopping.stale) == (0.5, 0)


@given(
    st.lists(st.floats(0, 1), max_size=20),
    st.integers(0, 20),
    st.integers(1, 4),
    st.floats(0, 0.3),
    st.sampled_from(["val/accuracy", "val/loss"]),
)
def test_a_resumed_run_stops_at_the_same_evaluation(
    values: list[float], killed: int, patience: int, min_delta: float, metric: str
) -> None:
    settings = {"patience": patience, "min_delta": min_delta, "metric": metric}
    undisturbed = stops_at(plateau(**settings), values)
    before = plateau(**settings)
    stopped = stops_at(before, values[:killed])
    resumed = PlateauCounter(**json.loads(json.dumps(asdict(before))))
    assert resumed == before
    if stopped is None:
        after = stops_at(resumed, values[killed:])
        stopped = None if after is None else len(values[:killed]) + after
    assert stopped == undisturbed


# An accuracy never gains more than 1: the first evaluation stays the best one.
STOPPING = {"epochs": 2, "early_stop": {"patience": 2, "min_delta": 1.0}}


def steps_of(training: Training, most: int) -> list[EvaluationReport]:
    """The reports of a run that is stopped from outside after so many of them."""
    reports: list[EvaluationReport] = []

    def report(made: EvaluationReport) -> bool:
        reports.append(made)
        return len(reports) < most

    training.run(report)
    return reports


def test_a_run_on_a_plateau_ends_as_done_before_its_budget(start: Callable[..., Training]) -> None:
    reports = steps_of(start(train=STOPPING), 99)
    assert [(made.step, made.done) for made in reports] == [(2, False), (4, False), (6, True)]
    assert reports[-1].examples < reports[-1].budget


@pytest.mark.parametrize("killed", [1, 2])
def test_a_run_resumed_from_its_checkpoint_ends_at_the_same_step(killed: int, start: Callable[..., Training]) -> None:
    steps_of(start(train=STOPPING), killed)
    resumed = steps_of(start(train=STOPPING), 99)  # the last report is repeated
    assert [(made.step, made.done) for made in resumed] == [(2, False), (4, False), (6, True)][killed - 1 :]
    assert [(made.step, made.done) for made in steps_of(start(train=STOPPING), 99)] == [(6, True)]
