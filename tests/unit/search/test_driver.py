from __future__ import annotations

from dataclasses import replace

from gazetune.report.document import ConfirmationRecord, SearchDocument, TrialRecord
from gazetune.search.driver import count_runs


def test_a_confirmation_that_goes_on_after_a_cap_is_a_later_step_than_what_stood_at_the_cap() -> None:
    trial = TrialRecord("0000", "COMPLETE", {"fusion.kind": "add"}, 10, 0.9, 1.0, None)
    alone = SearchDocument("demo", "runs/demo", "", "", (trial,), None, {}, "report.md")
    capped = replace(alone, confirmation=ConfirmationRecord(None, missing="a cap was reached", trainings=3))
    whole = replace(alone, confirmation=ConfirmationRecord(None, trainings=12))
    assert count_runs(alone) == 1 and count_runs(alone) < count_runs(capped) < count_runs(whole)
