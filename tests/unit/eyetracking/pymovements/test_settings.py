"""What an import through pymovements accepts, and what detection is told."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.pymovements.settings import PymovementsSettings


def test_detection_has_pymovements_own_values_where_none_are_set() -> None:
    detection = pytest.importorskip("pymovements", reason="pymovements is not installed (extra eyetracking)").events
    for method in ("ivt", "idt"):
        own = inspect.signature(getattr(detection, method)).parameters
        settings = PymovementsSettings(detect=method)  # type: ignore[arg-type]
        assert settings.detection_arguments() == {name: own[name].default for name in settings.detection_arguments()}
    settings = PymovementsSettings(detect="ivt", threshold=35.0, min_duration=60)
    assert settings.detection_arguments() == {"velocity_threshold": 35.0, "minimum_duration": 60}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"trial_message": "TRIAL ("}, "trial_message: 'TRIAL (' is no regular expression"),
        ({"trial_message": r"TRIAL (\S+)"}, r"trial_message: 'TRIAL (\S+)'; accepted: an expression with (?P<trial>"),
        ({"columns": {"readr": "x"}}, "columns: 'readr'; did you mean 'reader'?"),
        ({"detect": "ivt", "threshold": 0.0}, "threshold: 0.0; accepted: more than 0"),
        ({"threshold": 30.0}, "threshold: 30.0; accepted: with detect, ivt or idt"),
        ({"min_duration": 50}, "min_duration: 50; accepted: with detect, ivt or idt"),
        ({"viewing": (38.0, 0.0, 60.0)}, "viewing: (38.0, 0.0, 60.0); accepted: three lengths in centimetres"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        PymovementsSettings(**settings)
    assert str(caught.value).startswith(expected)
