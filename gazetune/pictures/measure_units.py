"""What the reading measures are called in pictures, and what a value of them means."""

from __future__ import annotations

MEASURE_TITLES = {
    "nFix": "number of fixations",
    "FFD": "first fixation duration",
    "GPT": "go-past time",
    "TRT": "total reading time",
    "fixProp": "share of readers who fixated",
}
"""What the names of the measures stand for."""

MEASURE_UNITS = {
    "nFix": "100 = 7.25 fixations",
    "FFD": "1 = 48.5 ms",
    "GPT": "1 = 48.5 ms",
    "TRT": "1 = 48.5 ms",
    "fixProp": "% of readers",
}
"""What a value means, in measured words and from a predictor of their unit (see `predicted_unit`)."""

# Predictors whose values have another unit.
_OTHER_UNITS = {"recorded": "unit of the recording", "bilstm": "level 0 to 11"}


def predicted_unit(predictor: str, measure: str) -> str:
    """Return what a value of a measure means that the predictor of that name gives.

    Examples
    --------
    >>> predicted_unit("lexical", "TRT"), predicted_unit("recorded", "TRT")
    ('1 = 48.5 ms', 'unit of the recording')
    """
    return _OTHER_UNITS.get(predictor, MEASURE_UNITS[measure])
