"""Single points of a space: whether a config lies inside it, and what Optuna calls it.

A point comes from outside: a config of `try_first`, or that of another search's trial (`--warm-start`). It may say less
than a trial does, and it may say more:

    try_first: {train.batch_size: 32, train.epochs: 2}
                      |                    |
                      |                    `- no axis: must be what the base config has
                      `- an axis inside the group `recipe`; so `recipe` must be a choice that opens it

So the axes are gone through in their order, as a trial would do. For each of them one of these is the case:

- it is closed there: a value for it must be the one that the base config has anyway;
- it is open and has a value: the axis must accept it;
- it is open and has none: it stays undecided, up to the sampler;
- whether it is open depends on an undecided axis: a value for it is taken where the axis accepts it.
"""

from __future__ import annotations

from collections.abc import Mapping

from gazetune.config.keys import config_keys, get_key, key_hint
from gazetune.errors import InputError, did_you_mean
from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis
from gazetune.search.space.conditions import shown_value
from gazetune.search.space.search_space import SearchSpace


def locate_point(space: SearchSpace, values: Mapping[str, object], origin: str) -> dict[str, object]:
    """Return the value of each axis that some values decide, in the form in which the space proposes it.

    Parameters
    ----------
    space : SearchSpace
        The space.
    values : mapping
        Dotted key -> value. Axes that are missing stay undecided. A group that is missing is found where another key
        is set inside it. A key that is no open axis must have the value that it has in the base config.
    origin : str
        What the values are, as error lines name it.

    Raises
    ------
    InputError
        When they lie outside the space; says by which key.
    """
    names = {axis.key for axis in space.axes}
    for key in values:
        if key not in config_keys() and key not in names:
            raise InputError(f"{origin}: unknown key '{key}'; {_unknown_key_hint(key, names)}")
    refused: InputError | None = None
    for assumed in _groups_to_try(space, values):
        try:
            return _locate_in_groups(space, {**values, **assumed}, origin)
        except InputError as error:
            refused = refused or error
    raise refused or InputError(f"{origin}: is outside the space")


def try_first_points(space: SearchSpace) -> tuple[dict[str, object], ...]:
    """Return the values of the axes in each config of `try_first`.

    Raises
    ------
    InputError
        When one lies outside the space.
    """
    location = space.extras.try_first_location
    return tuple(
        locate_point(space, values, f"{location}: try_first: config {number}")
        for number, values in enumerate(space.extras.try_first, start=1)
    )


def optuna_parameters(space: SearchSpace, point: Mapping[str, object]) -> dict[str, object]:
    """Return Optuna's parameters for the axes that a point (of `locate_point`) decides."""
    found: dict[str, object] = {}
    chosen: dict[str, object] = {}
    for axis in space.axes:
        if axis.key in point and axis.key not in chosen and _may_be_open(space, axis, point):
            try:
                found |= axis.optuna_parameters(axis.accept_value(point[axis.key]))
            except ValueError:
                continue  # the axis of another choice on the same key
            chosen[axis.key] = point[axis.key]
    return found


def _unknown_key_hint(key: str, names: set[str]) -> str:
    own = [name for name in names if name not in config_keys()]
    return did_you_mean(key, own) if own and "." not in key else key_hint(key)


def _groups_to_try(space: SearchSpace, values: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the choices of groups that may explain the values: none when no key of a missing group is given."""
    tries: list[dict[str, object]] = [{}]
    for axis in space.axes:
        missing = axis.key not in config_keys() and axis.key not in values
        inside = [other for other in space.axes if axis.key in other.when.keys and other.key in values]
        if missing and inside and isinstance(axis, ChoiceAxis):
            tries = [{**before, axis.key: choice} for before in tries for choice in axis.choices]
    return tries


def _locate_in_groups(space: SearchSpace, values: Mapping[str, object], origin: str) -> dict[str, object]:
    """Locate values that name every group they lie in; see the top of this file."""
    point: dict[str, object] = {}
    undecided: set[str] = set()
    for axis in space.axes:
        decided = axis.when.without_keys(undecided)
        if not decided.holds(space.values_for(decided, point)):
            continue
        certain = decided == axis.when
        if axis.key in values:
            try:
                point[axis.key] = _accept_value(space, axis, values[axis.key])
            except ValueError as error:
                if certain:
                    raise InputError(
                        f"{origin}: {axis.key}: {shown_value(values[axis.key])} is outside the space; accepted: {error}"
                    ) from None
        elif certain and isinstance(axis, FixedAxis):
            point[axis.key] = axis.value
        if axis.key not in point:
            undecided.add(axis.key)
    _check_other_values(space, values, point, origin)
    for condition in space.forbid:
        if not condition.keys & undecided and condition.holds(space.values_for(condition, point)):
            raise InputError(f"{origin}: is outside the space: forbid: {condition}")
    return point


def _accept_value(space: SearchSpace, axis: Axis, value: object) -> object:
    try:
        return axis.accept_value(value)
    except ValueError:
        if axis.key not in config_keys():
            raise
        # The config may read it as something else: five 0/1 flags are a feature mask.
        return axis.accept_value(_value_in_config(space, axis.key, value))


def _value_in_config(space: SearchSpace, key: str, value: object) -> object:
    return get_key(space.trial_config({key: value}).model_dump(mode="json"), key)


def _check_other_values(
    space: SearchSpace, values: Mapping[str, object], point: Mapping[str, object], origin: str
) -> None:
    """Refuse a value that is no part of the point and that no trial there has."""
    for key, value in values.items():
        if key in point or value == space.value_of(key, {}):
            continue
        axes = [axis for axis in space.axes if axis.key == key]
        if not axes and key in config_keys() and _value_in_config(space, key, value) == space.value_of(key, {}):
            continue
        if axes:
            conditions = " or ".join(str(axis.when) for axis in axes)
            raise InputError(f"{origin}: {key}: is outside the space: it is chosen only when {conditions}")
        raise InputError(
            f"{origin}: {key}: {shown_value(value)} is outside the space: it is no axis, and the base config has "
            f"{shown_value(space.value_of(key, {}))}"
        )


def _may_be_open(space: SearchSpace, axis: Axis, point: Mapping[str, object]) -> bool:
    # A key whose own axis is closed has the base config's value; one that is left to the sampler may have any.
    left_open = {other.key for other in space.axes} - point.keys()
    decided = axis.when.without_keys(left_open)
    return decided.holds(space.values_for(decided, point))
