from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gazetune.report.document import BaselineRecord, ControlRecord, DiagnosticsRecord, EndedRecord, SearchDocument
from gazetune.report.wording import diagnostics_line, ended_line, short_params, state_verdict

Maker = Callable[..., SearchDocument]


def compared(document: Maker, difference: float, low: float, high: float) -> str:
    record = BaselineRecord(0.6, 450, (0.55, 0.65), difference, (low, high))
    return state_verdict(document(baselines={"no_gaze": record, "shorter": None}))


def test_an_interval_above_zero_is_a_gain(document: Maker) -> None:
    said = compared(document, 0.1, 0.04, 0.16)
    assert said.startswith("Gaze helps") and "10.0 points" in said and "450 test pairs" in said


@pytest.mark.parametrize(("low", "high"), [(-0.01, 0.05), (0.0, 0.05)])
def test_an_interval_that_touches_zero_is_no_gain(document: Maker, low: float, high: float) -> None:
    said = compared(document, 0.02, low, high)
    assert said.startswith("No gain of gaze is shown") and "chance alone" in said and "2.0 points more" in said


def test_an_interval_below_zero_is_a_loss(document: Maker) -> None:
    assert compared(document, -0.1, -0.16, -0.04).startswith("Gaze hurts")


def test_a_smaller_accuracy_within_chance_is_called_less(document: Maker) -> None:
    assert "2.0 points less" in compared(document, -0.02, -0.05, 0.01)


def test_no_difference_at_all_is_no_gain(document: Maker) -> None:
    said = compared(document, 0.0, 0.0, 0.0)
    assert said.startswith("No gain of gaze is shown") and "no more often" in said


def test_a_winner_without_gaze_is_no_gain_of_gaze(document: Maker) -> None:
    best = document().best
    assert best is not None
    said = state_verdict(document(best=replace(best, params={**best.params, "fusion.kind": "none"})))
    assert said.startswith("No gain of gaze")


def test_a_missing_baseline_leaves_the_question_open(document: Maker) -> None:
    assert "not known" in state_verdict(document(baselines={"no_gaze": None, "shorter": None}))


def test_without_a_complete_trial_there_is_no_winner(document: Maker) -> None:
    trials = tuple(trial for trial in document().trials if trial.state != "COMPLETE")
    said = state_verdict(document(best=None, trials=trials))
    assert "1 PRUNED, 1 FAIL" in said and "no winner" in said
    assert "NaN loss at step 2" in said and "traceback" not in said


def test_params_are_short_but_never_ambiguous() -> None:
    said = short_params({"fusion.kind": "add", "gaze.features": ["FFD", "TRT"], "optim.learning_rate": 0.00123456})
    assert said == "fusion=add, features=FFD+TRT, learning_rate=0.00123"
    said = short_params({"projector.dropout": [0.1, 0.3], "adapter.dropout": 0.1})
    assert said == "projector.dropout=0.1/0.3, adapter.dropout=0.1"


@pytest.mark.parametrize(
    ("cap", "limit", "shown"),
    [("search.max_hours", 0.5, "0.5"), ("search.max_gpu_hours", 12.0, "12"), ("search.max_disk", 2.5e10, "25 GB")],
)
def test_a_search_that_a_cap_ended_says_which_and_with_how_many_trials(cap: str, limit: float, shown: str) -> None:
    said = ended_line(EndedRecord(cap, limit, trials=12, planned=30))
    assert said == f"Ended early: {cap} {shown} was reached with 12 of 30 trials begun."


def with_control(document: Maker, low: float) -> str:
    control = ControlRecord("0004", {}, 0.8, 2, BaselineRecord(0.7, 450, (0.6, 0.8), 0.02, (low, 0.05)))
    return state_verdict(document(controls={"shuffled": control}))


def test_a_gain_that_a_control_shows_too_is_no_gain_of_gaze(document: Maker) -> None:
    said = with_control(document, -0.01)
    assert said.startswith("No gain of gaze is shown") and "control shuffled" in said and "+2.0 (-1.0 to +5.0)" in said
    assert with_control(document, 0.01).startswith("Gaze helps")


def test_controls_alone_give_no_winner_and_the_verdict_says_why(document: Maker) -> None:
    trials = tuple(replace(trial, control="shuffled") for trial in document().trials)
    said = state_verdict(document(best=None, trials=trials))
    assert said.startswith("No winner: all 2 trials that ran their full budget are controls (gaze.control: shuffled)")


def test_what_chance_could_give_stands_beside_what_so_many_pairs_can_show(document: Maker) -> None:
    record = BaselineRecord(0.6, 450, (0.55, 0.65), 0.02, (-0.01, 0.05), 0.3, 0.0543, 3321)
    said = state_verdict(document(baselines={"no_gaze": record, "shorter": None}))
    assert (
        "450 pairs can show differences above about 5.4 points" in said and "one of 2.0 takes about 3,321 pairs" in said
    )
    few = replace(record, n=12, detectable=None)
    assert "12 pairs are too few" in state_verdict(document(baselines={"no_gaze": few, "shorter": None}))
    clear = replace(record, difference_ci95=(0.01, 0.05))
    assert "can show" not in state_verdict(document(baselines={"no_gaze": clear, "shorter": None}))


def test_length_and_calibration_are_told_in_percent() -> None:
    said = diagnostics_line(DiagnosticsRecord(0.031, 0.62, 0.5))
    assert "prefers the longer one on 62.0 %, the labels on 50.0 %" in said and "3.1 points" in said
