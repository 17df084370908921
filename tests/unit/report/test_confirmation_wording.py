from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from gazetune.report.confirmation_wording import arm_rows, candidate_rows, confirmation_lines
from gazetune.report.document import (
    ArmRecord,
    BaselineRecord,
    BestRecord,
    CandidateRecord,
    ConfirmationRecord,
    SearchDocument,
    TestRecord,
)
from gazetune.report.markdown import render_report
from gazetune.report.table import print_table
from gazetune.report.wording import state_verdict

Maker = Callable[..., SearchDocument]

TEST = TestRecord(0.8, 450, (0.76, 0.84))


def arm(name: str, low: float | None = None) -> ArmRecord:
    compared = None if low is None else BaselineRecord(0.7, 450, (0.65, 0.74), low + 0.05, (low, low + 0.1))
    return ArmRecord((7, 8), (0.79, 0.81), (0.78, 0.82), (f"baselines/{name}-7", f"baselines/{name}-8"), TEST, compared)


def confirmed(control_low: float = 0.02) -> ConfirmationRecord:
    return ConfirmationRecord(
        searched=BestRecord("0000", {"fusion.kind": "none"}, 0.9, replace(TEST, accuracy=0.71)),
        folds=4,
        candidates=(
            CandidateRecord("0000", {"fusion.kind": "none"}, 0.9, 0.72, 2500, 0.06, (0.03, 0.09)),
            CandidateRecord("0003", {"fusion.kind": "add"}, 0.87, 0.78, 2500),
        ),
        arms={"winner": arm("winner"), "winner-without-gaze": arm("n", 0.1), "control-noise": arm("c", control_low)},
        model="baselines/winner-8",
        seed=8,
        trainings=14,
    )


def test_a_gain_that_no_control_shows_is_one_of_gaze(document: Maker) -> None:
    said = state_verdict(document(confirmation=confirmed()))
    assert said.startswith("Gaze helps") and said.endswith("It is better than each control, too (noise).")


def test_a_control_that_could_not_be_trained_is_not_said_to_be_beaten(document: Maker) -> None:
    failed = {"control-shuffled-12ab34cd": "loss is nan", "control-noise-12ab34cd": "loss is nan"}
    said = state_verdict(document(confirmation=replace(confirmed(), failed=failed)))
    assert said.endswith(
        "It is better than each control that was trained, too (noise). Whether a control shows the gain, too, is not "
        "known of shuffled: its trainings failed."
    )


def test_a_gain_that_a_control_of_the_winner_shows_too_is_none_of_gaze(document: Maker) -> None:
    said = state_verdict(document(confirmation=confirmed(control_low=-0.01)))
    assert said.startswith("No gain of gaze is shown") and "the control noise" in said


def test_any_control_that_is_not_beaten_counts_not_the_closest_alone(document: Maker) -> None:
    wide = BaselineRecord(0.7, 450, (0.65, 0.74), 0.2, (-0.01, 0.4))
    record = confirmed()
    arms = {**record.arms, "control-constant": replace(arm("w"), compared=wide)}
    assert "the control constant" in state_verdict(document(confirmation=replace(record, arms=arms)))


def test_what_the_search_alone_would_have_said_stands_beside_the_confirmed_choice(document: Maker) -> None:
    lines = confirmation_lines(confirmed())
    assert "The search alone would have taken trial 0000: validation accuracy 90.0 %, test accuracy 71.0 %." in lines
    assert any("best 2 trials by 4 folds" in line and "all 2500 pairs outside test" in line for line in lines)
    assert any("means over 2 seed(s)" in line and "seed 8 and is right on 82.0 %" in line for line in lines)
    output = io.StringIO()
    print_table(document(confirmation=confirmed()), Console(file=output, width=200))
    for said in (render_report(document(confirmation=confirmed())), output.getvalue()):
        assert "The search alone would have taken trial 0000" in said


def test_what_was_not_confirmed_says_why(document: Maker) -> None:
    missing = ConfirmationRecord(None, missing="search.max_hours 3 was reached before it was over", notes=("a note",))
    first, second = confirmation_lines(missing)
    assert first.startswith("Not confirmed, as search.max_hours 3 was reached") and second.endswith("a note.")
    assert first in render_report(document(confirmation=missing))


def test_failed_trainings_are_told_with_a_reason() -> None:
    failed = replace(confirmed(), failed={"fold-0000-ab12": "loss is nan"})
    assert "1 training(s) of the confirmation failed, the first fold-0000-ab12: loss is nan" in confirmation_lines(
        failed
    )


def test_the_rows_have_candidates_and_arms() -> None:
    _, first, second = candidate_rows(confirmed())
    assert first[1:] == ["90.0", "72.0", "2500", "+6.0 (+3.0 to +9.0)"] and second[-1] == "-"
    _, winner, without, control = arm_rows(confirmed())
    assert winner == ["winner", "2", "79.0 81.0", "80.0 (76.0 to 84.0)", "-"]
    assert without[0] == "winner-without-gaze" and control[-1] == "+7.0 (+2.0 to +12.0)"
