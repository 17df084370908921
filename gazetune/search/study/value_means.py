"""The mean of the objective at one evaluation by the value of each searched key, over all trials that came so far.

Importance says which keys matter, not which values are good. The evaluation is the last one that every judged trial
has, so that trials which were stopped count too. The values of a range are taken together in thirds of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import optuna

from gazetune.config.section import MEASURES
from gazetune.report.document import MeansRecord, ValueMean
from gazetune.search.space.axes import Axis, IntAxis, RangeAxis
from gazetune.search.space.conditions import is_number, shown_value
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.candidates import list_judged_trials
from gazetune.search.study.objectives import objectives_of
from gazetune.trials.messages import StudyRecord

_THIRDS = 3
_MOST_VALUES = 12
"""Values of a key beyond which a mean for each would say little."""


def mean_by_value(study: optuna.Study, space: SearchSpace) -> MeansRecord | None:
    """Return the means; None with several objectives, whose trials have no values on the way, or without trials."""
    objectives = objectives_of(space.config.search)
    trials = list_judged_trials(study, space)
    shared = set.intersection(*(set(trial.intermediate_values) for trial in trials)) if trials else set()
    if len(objectives) > 1 or not shared:
        return None
    examples = max(shared)
    means = []
    for key in dict.fromkeys(axis.key for axis in space.axes):
        axes = [axis for axis in space.axes if axis.key == key]
        groups: dict[tuple[int, str], list[float]] = {}
        for trial in trials:
            for label in _list_labels(axes, StudyRecord.read(trial)):
                groups.setdefault(label, []).append(trial.intermediate_values[examples])
        if key == "gaze.features":
            # A measure that is in every mask, or in none, has nothing to be compared with.
            pairs = {place // 2 for place, _ in groups if (place ^ 1) in {other for other, _ in groups}}
            groups = {group: values for group, values in groups.items() if group[0] // 2 in pairs}
        if 1 < len(groups) <= _MOST_VALUES:
            means += [_summarise(key, label, groups[place, label]) for place, label in sorted(groups)]
    return MeansRecord(objectives[0].name, examples, len(trials), tuple(means))


def _list_labels(axes: Sequence[Axis], record: StudyRecord) -> Iterator[tuple[int, str]]:
    """Yield what the value of a trial is called, and its place in the table.

    A range has thirds. A mask has one label for each measure, which is in it or not.
    """
    key = axes[0].key
    if key == "gaze.features":
        if record.measures is not None:
            for place, name in enumerate(MEASURES):
                yield (2 * place, name) if name in record.measures else (2 * place + 1, f"no {name}")
    elif key in record.params:
        value = record.params[key]
        ranges = [axis for axis in axes if isinstance(axis, RangeAxis | IntAxis)]
        yield _find_third(ranges[0], value) if ranges and is_number(value) else (0, shown_value(value))


def _find_third(axis: RangeAxis | IntAxis, value: float) -> tuple[int, str]:
    """Return which third of an axis, on its own scale, a value lies in, and its ends, as `0.0001 to 0.00046`."""
    low, high = (math.log(axis.low), math.log(axis.high)) if axis.log else (axis.low, axis.high)
    place = math.log(value) if axis.log else value
    third = max(0, min(_THIRDS - 1, int(_THIRDS * (place - low) / (high - low)))) if high > low else 0
    ends = [low + (high - low) * end / _THIRDS for end in (third, third + 1)]
    return third, " to ".join(f"{math.exp(end) if axis.log else end:.2g}" for end in ends)


def _summarise(key: str, label: str, values: Sequence[float]) -> ValueMean:
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return ValueMean(key, label, len(values), mean, None)
    from scipy import stats  # takes seconds, and is needed at the end of a search

    error = float(stats.sem(values))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error) if error else (mean, mean)
    return ValueMean(key, label, len(values), mean, (float(low), float(high)))
