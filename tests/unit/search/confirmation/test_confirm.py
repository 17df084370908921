from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from gazetune.config import ConfirmConfig
from gazetune.report.document import TrialRecord
from gazetune.search.confirmation.confirm import confirm_winner


def test_controls_alone_have_no_winner_to_confirm_and_nothing_is_trained() -> None:
    trials = [TrialRecord("0000", "COMPLETE", {"fusion.kind": "add"}, 10, 0.9, 1.0, None, control="shuffled")]
    nothing: Any = cast("Any", SimpleNamespace())  # a search that is asked for anything fails
    compared, record = confirm_winner(nothing, ConfirmConfig(), trials, {}, {})
    assert compared is None and record.missing == "there is no winner" and record.trainings == 0
