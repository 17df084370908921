"""Axes as a space file has them: `KEY: {KIND: VALUES, when: CONDITION}`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from gazetune.errors import InputError, did_you_mean
from gazetune.search.space.axes import Axis, ChoiceAxis, IntAxis, RangeAxis, SubsetsAxis, subsets_of
from gazetune.search.space.conditions import Condition, parse_condition

_OPTIONS = {"int": ("step", "log"), "subsets": ("sizes",)}
"""What may stand beside a kind, `when` apart."""
_MOST_SUBSETS = 1000


def parse_axis(key: str, entry: Any, origin: str) -> Axis:
    """Parse one entry of a space; groups of axes are `space_entries`.

    Raises
    ------
    InputError
        For an unknown kind, values that the kind cannot take, or a condition that cannot be read.
    """
    kind = axis_kind(key, entry, origin)
    when = parse_condition(entry["when"], f"{origin}: {key}: when") if "when" in entry else Condition()
    options = {name: entry[name] for name in _OPTIONS.get(kind, ()) if name in entry}
    return _KINDS[kind](key, when, entry[kind], options, f"{origin}: {key}: {kind}")


def axis_kind(key: str, entry: Any, origin: str) -> str:
    """Return the kind of an entry.

    Raises
    ------
    InputError
        When it has none, several, or something beside it that the kind does not take.
    """
    given = [name for name in entry if name != "when"] if isinstance(entry, Mapping) else []
    kinds = [name for name in given if name in _KINDS]
    shown = f"{origin}: {key}: {json.dumps(entry, default=str)}"
    if len(kinds) != 1:
        wrong = did_you_mean(str(given[0]), _KINDS) if len(given) == 1 and not kinds else _list_of_kinds()
        raise InputError(f"{shown} is no axis; {wrong}")
    options = _OPTIONS.get(kinds[0], ())
    for name in given:
        if name not in (kinds[0], *options):
            accepted = did_you_mean(str(name), ("when", *options))
            raise InputError(f"{shown}: '{name}' does not go with {kinds[0]}; {accepted}")
    return kinds[0]


def is_axis(entry: Any) -> bool:
    """Tell whether an entry names a kind, as opposed to a mapping that is a value itself."""
    return isinstance(entry, Mapping) and any(kind in entry for kind in _KINDS)


def _list_of_kinds() -> str:
    return f"accepted: {', '.join(_KINDS)}"


def _range(log: bool) -> Callable[[str, Condition, Any, Mapping[str, Any], str], Axis]:
    def parse(key: str, when: Condition, values: Any, options: Mapping[str, Any], origin: str) -> Axis:
        low, high = _bounds(values, origin, (int, float))
        if log:
            _check_logarithmic(low, values, origin)
        return RangeAxis(key, when, float(low), float(high), log)

    return parse


def _int(key: str, when: Condition, values: Any, options: Mapping[str, Any], origin: str) -> Axis:
    low, high = _bounds(values, origin, (int,))
    step, log = options.get("step", 1), options.get("log", False)
    if not isinstance(log, bool):
        raise InputError(f"{origin}: log: {json.dumps(log, default=str)} is not accepted; accepted: true or false")
    if not isinstance(step, int) or isinstance(step, bool) or step < 1:
        raise InputError(f"{origin}: step: {json.dumps(step, default=str)} is not accepted; accepted: an integer >= 1")
    if log:
        _check_logarithmic(low, values, origin)
        if step != 1:
            raise InputError(f"{origin}: step: {step} does not go with log: true; keep one of the two")
    rest = (high - low) % step
    if rest:
        nearest = " or ".join(str(bound) for bound in (high - rest, high - rest + step) if bound > low)
        raise InputError(
            f"{origin}: step: {step} does not divide {low} to {high}; with this step the upper bound can be {nearest}"
        )
    return IntAxis(key, when, low, high, step, log)


def _choice(key: str, when: Condition, values: Any, options: Mapping[str, Any], origin: str) -> Axis:
    check_list(values, origin)
    return ChoiceAxis(key, when, tuple(values))


def _subsets(key: str, when: Condition, values: Any, options: Mapping[str, Any], origin: str) -> Axis:
    check_list(values, origin)
    if not all(isinstance(value, str) for value in values):
        raise InputError(f"{origin}: needs a list of names, got {json.dumps(values, default=str)}")
    if "sizes" not in options:
        return SubsetsAxis(key, when, tuple(values))
    sizes = options["sizes"]
    whole = isinstance(sizes, list) and all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
    if not whole or not sizes or len(set(sizes)) < len(sizes) or min(sizes) < 1 or max(sizes) > len(values):
        raise InputError(
            f"{origin}: sizes: {json.dumps(sizes, default=str)} is not accepted; accepted: a list of different "
            f"integers from 1 to {len(values)}"
        )
    count = sum(math.comb(len(values), size) for size in sizes)
    if count > _MOST_SUBSETS:
        raise InputError(f"{origin}: sizes: {sizes} are {count} subsets; accepted: at most {_MOST_SUBSETS}")
    return ChoiceAxis(key, when, tuple(subsets_of(values, sorted(sizes))), "subsets")


_KINDS: dict[str, Callable[[str, Condition, Any, Mapping[str, Any], str], Axis]] = {
    "uniform": _range(log=False),
    "log_uniform": _range(log=True),
    "int": _int,
    "choice": _choice,
    "subsets": _subsets,
}


def _bounds(values: Any, origin: str, kinds: tuple[type, ...]) -> list[Any]:
    numbers = isinstance(values, list) and all(isinstance(v, kinds) and not isinstance(v, bool) for v in values)
    if not numbers or len(values) != 2 or not all(map(math.isfinite, values)) or values[0] >= values[1]:
        whole = " as whole numbers" if kinds == (int,) else ""
        raise InputError(f"{origin}: needs [low, high]{whole} with low < high, got {json.dumps(values, default=str)}")
    return values


def _check_logarithmic(low: float, values: Any, origin: str) -> None:
    if low <= 0:
        raise InputError(f"{origin}: a logarithmic range needs bounds above 0, got {values}")


def check_list(values: Any, origin: str) -> None:
    """Refuse what is no list, an empty one, and one with a value twice; raises `InputError`."""
    if not isinstance(values, list) or not values:
        raise InputError(f"{origin}: needs a list of at least one value, got {json.dumps(values, default=str)}")
    if len({json.dumps(value, sort_keys=True, default=str) for value in values}) != len(values):
        raise InputError(f"{origin}: a value stands twice in {json.dumps(values, default=str)}")
