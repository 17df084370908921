"""Factors of a study to arms: every combination, or those that differ from the base in one factor.

Factors are written as the axes of a search space, with `when:` and groups, or as a plain list of values. The arm of a
combination is called by its values. The baseline of an arm is the arm that has the values that `baseline` names, and
the arm's own values in all other factors:

    factors:   backbone [A, B]   fusion.kind [none, add]   gaze.features [[TRT], [FFD, TRT]] when fusion.kind != none
    baseline:  {fusion.kind: none}
    arms:      A none      A add TRT    A add FFD+TRT        compared with A none
               B none      B add TRT    B add FFD+TRT        compared with B none
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gazetune.ablation.study.study import Arm
from gazetune.config.keys import config_keys
from gazetune.errors import InputError, did_you_mean
from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis, IntAxis, RangeAxis, SubsetsAxis
from gazetune.search.space.checks import check_space, order_axes
from gazetune.search.space.conditions import shown_value
from gazetune.search.space.groups import LocatedAxis, read_axes
from gazetune.search.space.search_space import SearchSpace

MOST_ARMS = 1000
DESIGNS = ("grid", "one_at_a_time")


@dataclass(frozen=True)
class _Point:
    """A combination of values."""

    chosen: Mapping[str, object]
    """Of every open axis, fixed ones and groups included."""
    factors: Mapping[str, object]
    """Of the open axes that have several values."""


def read_factors(
    entries: Mapping[str, object], lines: Mapping[str, int], path: str, base: SearchSpace
) -> tuple[SearchSpace, list[LocatedAxis]]:
    """Return the factors as a space of finite axes over the base, and where each axis stands.

    Parameters
    ----------
    entries
        What stands under `factors`.
    lines
        The line of each dotted key of the file.
    path
        The file, as error lines name it.
    base
        A space without axes: name, base config, and what `--set` fixed.

    Raises
    ------
    InputError
        For whatever a search space would be refused for, ranges of numbers, and more than `MOST_ARMS` arms.
    """
    axes_of = {key: {"choice": entry} if isinstance(entry, list) else entry for key, entry in entries.items()}
    read = read_axes(axes_of, lines, path, section="factors")
    located = [each for each in read if each.axis.key not in base.extras.fixed]
    for each in located:
        if isinstance(each.axis, RangeAxis):
            raise InputError(
                f"{each.location}: factors: {each.axis.key}: a range has no end of values; accepted: a list of values, "
                "choice, int, subsets"
            )
        if each.axis.key == "train.seed":
            raise InputError(f"{each.location}: factors: train.seed: is what `seeds` lists; leave it out here")
    ordered = order_axes(located, base.extras)
    space = check_space(
        SearchSpace(base.name, base.origin, base.base, axes_of, tuple(each.axis for each in ordered), base.extras),
        ordered,
    )
    count = space.count_combinations()
    if count.finite > MOST_ARMS or not count.exact:
        raise InputError(
            f"{path}:{lines['factors']}: factors: {'at least ' if not count.exact else ''}{count.finite:,} arms; "
            f"accepted: at most {MOST_ARMS}"
        )
    return space, ordered


def list_arms(space: SearchSpace, design: str, baseline: Mapping[str, object], origin: str) -> list[Arm]:
    """Return the arms of a study with factors, each with the name of its baseline.

    Parameters
    ----------
    space
        The factors, of `read_factors`.
    design
        `grid`: every combination. `one_at_a_time`: those that differ from the base config in one factor at most.
    baseline
        Factor -> value, of the arms that others are compared with.
    origin
        Where `baseline` stands, for error lines.

    Raises
    ------
    InputError
        For a baseline that no arm has, and an arm for which several arms, or none, would be the baseline.
    """
    points = _list_points(space)
    if design == "one_at_a_time":
        points = [point for point in points if _count_changes(space, point) <= 1]
    factors = {key for point in points for key in point.factors}
    wanted = {key: _accept_value(space, key, value, origin) for key, value in baseline.items()}
    # What --set fixed is the same in all arms.
    wanted = {key: value for key, value in wanted.items() if key in factors}
    names = _name_points(points, space)
    matching = [number for number, point in enumerate(points) if wanted.items() <= dict(point.chosen).items()]
    if not matching:
        raise InputError(f"{origin}: baseline: {shown_value_of(baseline)}: no arm has these values")
    arms = []
    for number, point in enumerate(points):
        own = number if number in matching else _find_baseline(number, points, matching, wanted, names, origin)
        overrides = {key: value for key, value in point.chosen.items() if key in config_keys()}
        arms.append(Arm(names[number], overrides, None if own == number else names[own]))
    return arms


def _list_points(space: SearchSpace) -> list[_Point]:
    found = space.list_combinations(_values_of)
    points = []
    for chosen in found:
        several = {axis.key for axis in space.axes if not isinstance(axis, FixedAxis) and len(_values_of(axis)) > 1}
        points.append(_Point(chosen, {key: value for key, value in chosen.items() if key in several}))
    return points


def _values_of(axis: Axis) -> Sequence[object]:
    if isinstance(axis, IntAxis | SubsetsAxis):
        return axis.all_values()
    return axis.example_values()


def _count_changes(space: SearchSpace, point: _Point) -> int:
    """Return in how many factors a combination differs from the base config."""
    return sum(value != space.value_of(key, {}) for key, value in point.factors.items())


def _accept_value(space: SearchSpace, key: str, value: object, origin: str) -> object:
    """Return a value of the baseline in the form in which a factor has it."""
    axes = [axis for axis in space.axes if axis.key == key and not isinstance(axis, FixedAxis)]
    if not axes and key in space.extras.fixed:
        return value
    if not axes:
        known = dict.fromkeys(axis.key for axis in space.axes if not isinstance(axis, FixedAxis))
        raise InputError(f"{origin}: baseline: '{key}' is no factor; {did_you_mean(key, known)}")
    refused: ValueError | None = None
    for axis in axes:
        try:
            return axis.accept_value(value)
        except ValueError as error:
            refused = error
    raise InputError(f"{origin}: baseline: {key}: {shown_value(value)} is no value of the factor; accepted: {refused}")


def _find_baseline(
    number: int,
    points: Sequence[_Point],
    matching: Sequence[int],
    wanted: Mapping[str, object],
    names: Sequence[str],
    origin: str,
) -> int:
    """Return the arm that has the baseline's values and, of the other factors, those of this arm."""
    own = points[number].factors
    fit = [
        each
        for each in matching
        if all(own[key] == value for key, value in points[each].factors.items() if key in own and key not in wanted)
    ]
    if len(matching) == 1:
        return matching[0]
    if len(fit) != 1:
        raise InputError(
            f"{origin}: baseline: {shown_value_of(wanted)} is {len(fit)} arms for the arm '{names[number]}'"
            f"{''.join(f' {chr(39)}{names[each]}{chr(39)}' for each in fit[:3])}; accepted: values that leave one"
        )
    return fit[0]


def shown_value_of(values: Mapping[str, object]) -> str:
    """Return values by key as a file has them.

    Examples
    --------
    >>> shown_value_of({"fusion.kind": "none", "gaze.features": ["TRT"]})
    '{fusion.kind: none, gaze.features: [TRT]}'
    """
    return "{" + ", ".join(f"{key}: {shown_value(value)}" for key, value in values.items()) + "}"


def _name_points(points: Sequence[_Point], space: SearchSpace) -> list[str]:
    """Return the name of each combination: its values, or key and value where a value alone says nothing."""
    shorten = {
        axis.key: len({_last_part(value) for value in _values_of(axis)}) == len(_values_of(axis))
        for axis in space.axes
        if isinstance(axis, ChoiceAxis)
    }
    names = []
    for point in points:
        # Real measures are the plain case; a control is named.
        told = {key: value for key, value in point.factors.items() if (key, value) != ("gaze.control", "none")}
        parts = [_name_value(key, value, shorten.get(key, False)) for key, value in told.items()]
        names.append(" ".join(parts) or "base")
    if len(set(names)) == len(names):
        return names
    return [", ".join(f"{key}={shown_value(value)}" for key, value in point.factors.items()) for point in points]


def _name_value(key: str, value: object, short: bool) -> str:
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return "+".join(value)
    if isinstance(value, str):
        return _last_part(value) if short else value
    return f"{key.rpartition('.')[2]}={shown_value(value)}"


def _last_part(value: object) -> str:
    """Return a hub id without its owner, a path without its folders."""
    return str(value).rstrip("/").rpartition("/")[2]
