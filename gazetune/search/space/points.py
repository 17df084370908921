"""Single points of a space: whether a config lies inside it, and what Optuna calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gazetune.config.keys import config_keys, get_key, key_hint
from gazetune.errors import InputError, did_you_mean
from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis
from gazetune.search.space.conditions import Condition, shown_value
from gazetune.search.space.search_space import SearchSpace


def locate(space: SearchSpace, values: Mapping[str, Any], origin: str) -> dict[str, Any]:
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
            raise InputError(f"{origin}: unknown key '{key}'; {_hint(key, names)}")
    refused: InputError | None = None
    for assumed in _groups_to_try(space, values):
        try:
            return _located(space, {**values, **assumed}, origin)
        except InputError as error:
            refused = refused or error
    raise refused or InputError(f"{origin}: is outside the space")


def first_points(space: SearchSpace) -> tuple[dict[str, Any], ...]:
    """Return the values of the axes in each config of `try_first`.

    Raises
    ------
    InputError
        When one lies outside the space.
    """
    place = space.extras.try_first_place
    return tuple(
        locate(space, values, f"{place}: try_first: config {number}")
        for number, values in enumerate(space.extras.try_first, start=1)
    )


def optuna_parameters(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return Optuna's parameters for the axes that `params` (of `locate`) decides."""
    found: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    for axis in space.axes:
        if axis.key in params and axis.key not in chosen and _may_be_open(space, axis, params):
            try:
                found |= axis.parameters(axis.accept(params[axis.key]))
            except ValueError:
                continue  # the axis of another choice on the same key
            chosen[axis.key] = params[axis.key]
    return found


def _hint(key: str, names: set[str]) -> str:
    own = [name for name in names if name not in config_keys()]
    return did_you_mean(key, own) if own and "." not in key else key_hint(key)


def _groups_to_try(space: SearchSpace, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of groups that may explain the values: none when no key of a missing group is given."""
    tries: list[dict[str, Any]] = [{}]
    for axis in space.axes:
        missing = axis.key not in config_keys() and axis.key not in values
        inside = [other for other in space.axes if axis.key in other.when.keys and other.key in values]
        if missing and inside and isinstance(axis, ChoiceAxis):
            tries = [{**before, axis.key: choice} for before in tries for choice in axis.choices]
    return tries


def _located(space: SearchSpace, values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    params: dict[str, Any] = {}
    undecided: set[str] = set()
    for axis in space.axes:
        decided = Condition(tuple(clause for clause in axis.when.clauses if clause.key not in undecided))
        if not decided.holds(space.known(decided, params)):
            continue
        certain = decided == axis.when
        if axis.key in values:
            try:
                params[axis.key] = _accepted(space, axis, values[axis.key])
            except ValueError as error:
                if certain:
                    raise InputError(
                        f"{origin}: {axis.key}: {shown_value(values[axis.key])} is outside the space; accepted: {error}"
                    ) from None
        elif certain and isinstance(axis, FixedAxis):
            params[axis.key] = axis.value
        if axis.key not in params:
            undecided.add(axis.key)
    _check_rest(space, values, params, origin)
    for condition in space.forbid:
        if not condition.keys & undecided and condition.holds(space.known(condition, params)):
            raise InputError(f"{origin}: is outside the space: forbid: {condition}")
    return params


def _accepted(space: SearchSpace, axis: Axis, value: Any) -> Any:
    try:
        return axis.accept(value)
    except ValueError:
        if axis.key not in config_keys():
            raise
        # The config may read it as something else: five 0/1 flags are a feature mask.
        return axis.accept(_as_config(space, axis.key, value))


def _as_config(space: SearchSpace, key: str, value: Any) -> Any:
    return get_key(space.trial_config({key: value}).model_dump(mode="json"), key)


def _check_rest(space: SearchSpace, values: Mapping[str, Any], params: Mapping[str, Any], origin: str) -> None:
    """Refuse a value that no trial with these parameters has."""
    for key, value in values.items():
        if key in params or value == space.value_of(key, {}):
            continue
        axes = [axis for axis in space.axes if axis.key == key]
        if not axes and key in config_keys() and _as_config(space, key, value) == space.value_of(key, {}):
            continue
        if axes:
            conditions = " or ".join(str(axis.when) for axis in axes)
            raise InputError(f"{origin}: {key}: is outside the space: it is chosen only when {conditions}")
        raise InputError(
            f"{origin}: {key}: {shown_value(value)} is outside the space: it is no axis, and the base config has "
            f"{shown_value(space.value_of(key, {}))}"
        )


def _may_be_open(space: SearchSpace, axis: Axis, params: Mapping[str, Any]) -> bool:
    searched: Sequence[str] = [other.key for other in space.axes]
    decided = tuple(clause for clause in axis.when.clauses if clause.key in params or clause.key not in searched)
    # A key whose own axis is closed has the base config's value; one that is left to the sampler may have any.
    return Condition(decided).holds(space.known(Condition(decided), params))
