"""Axes as a space file has them: `KEY: {KIND: VALUES, when: CONDITION}`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from typing import TypeGuard

from gazetune.config import LARGEST_SEED
from gazetune.errors import InputError, did_you_mean
from gazetune.search.space.axes import Axis, ChoiceAxis, IntAxis, RangeAxis, SubsetsAxis, list_subsets
from gazetune.search.space.conditions import Condition, is_number, parse_condition

_OPTIONS = {"int": ("step", "log"), "subsets": ("sizes",)}
"""What may stand beside a kind, `when` apart."""
_MOST_SUBSETS = 1000


def parse_axis(key: str, entry: object, origin: str) -> Axis:
    """Parse one entry of a space; groups of axes are for `groups.read_axes`.

    Raises
    ------
    InputError
        For an unknown kind, values that the kind cannot take, or a condition that cannot be read.

    Examples
    --------
    >>> print(parse_axis("adapter.r", {"int": [4, 16], "step": 4}, "space.yaml:5"))
    int 4 to 16 in steps of 4
    """
    kind, given = read_kind(key, entry, origin)
    when = parse_condition(given["when"], f"{origin}: {key}: when") if "when" in given else Condition()
    options = {name: given[name] for name in _OPTIONS.get(kind, ()) if name in given}
    return _KINDS[kind](key, when, given[kind], options, f"{origin}: {key}: {kind}")


def read_kind(key: str, entry: object, origin: str) -> tuple[str, Mapping[str, object]]:
    """Return the kind of an entry, and the entry itself, which is a mapping then.

    Raises
    ------
    InputError
        When it has no kind, several, or something beside it that the kind does not take.
    """
    mapping: Mapping[str, object] = entry if isinstance(entry, Mapping) else {}
    given = [name for name in mapping if name != "when"]
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
    return kinds[0], mapping


def is_axis(entry: object) -> bool:
    """Tell whether an entry names a kind, as opposed to a mapping that is a value itself."""
    return isinstance(entry, Mapping) and any(kind in entry for kind in _KINDS)


def _list_of_kinds() -> str:
    return f"accepted: {', '.join(_KINDS)}"


ParseKind = Callable[[str, Condition, object, Mapping[str, object], str], Axis]
"""Makes an axis from its key, its condition, what stands after its kind, the options beside that, and the origin."""


def _range_parser(log: bool) -> ParseKind:
    def parse_range(key: str, when: Condition, values: object, options: Mapping[str, object], origin: str) -> RangeAxis:
        low, high = _read_bounds(values, origin)
        if log:
            _check_logarithmic(low, values, origin)
        return RangeAxis(key, when, float(low), float(high), log)

    return parse_range


def _parse_int(key: str, when: Condition, values: object, options: Mapping[str, object], origin: str) -> IntAxis:
    low, high = _read_whole_bounds(values, origin)
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


def _parse_choice(key: str, when: Condition, values: object, options: Mapping[str, object], origin: str) -> ChoiceAxis:
    return ChoiceAxis(key, when, tuple(_read_list(values, origin)))


def _parse_subsets(
    key: str, when: Condition, values: object, options: Mapping[str, object], origin: str
) -> SubsetsAxis | ChoiceAxis:
    """Without `sizes` an axis that is asked name by name; with them a choice among the subsets of these sizes."""
    names = [value for value in _read_list(values, origin) if isinstance(value, str)]
    if names != values:
        raise InputError(f"{origin}: needs a list of names, got {json.dumps(values, default=str)}")
    if "sizes" not in options:
        return SubsetsAxis(key, when, tuple(names))
    sizes = _read_sizes(options["sizes"], len(names), origin)
    count = sum(math.comb(len(names), size) for size in sizes)
    if count > _MOST_SUBSETS:
        raise InputError(f"{origin}: sizes: {sizes} are {count} subsets; accepted: at most {_MOST_SUBSETS}")
    return ChoiceAxis(key, when, tuple(list_subsets(names, sorted(sizes))), "subsets")


_KINDS: dict[str, ParseKind] = {
    "uniform": _range_parser(log=False),
    "log_uniform": _range_parser(log=True),
    "int": _parse_int,
    "choice": _parse_choice,
    "subsets": _parse_subsets,
}


def _read_sizes(given: object, most: int, origin: str) -> list[int]:
    sizes = [size for size in given if _is_whole(size)] if isinstance(given, list) else []
    if not sizes or sizes != given or len(set(sizes)) < len(sizes) or min(sizes) < 1 or max(sizes) > most:
        raise InputError(
            f"{origin}: sizes: {json.dumps(given, default=str)} is not accepted; accepted: a list of different "
            f"integers from 1 to {most}"
        )
    return sizes


def _read_bounds(values: object, origin: str) -> tuple[float, float]:
    if isinstance(values, list) and len(values) == 2 and all(map(is_number, values)):
        low, high = values
        if max(abs(low), abs(high)) <= sys.float_info.max and low < high:  # YAML has integers of any length
            return low, high
    raise InputError(f"{origin}: needs [low, high] with low < high, got {json.dumps(values, default=str)}")


def _read_whole_bounds(values: object, origin: str) -> tuple[int, int]:
    if isinstance(values, list) and len(values) == 2 and all(map(_is_whole, values)) and values[0] < values[1]:
        if max(map(abs, values)) > LARGEST_SEED:
            raise InputError(f"{origin}: a bound is beyond +-{LARGEST_SEED}, the largest whole number that is accepted")
        return values[0], values[1]
    raise InputError(
        f"{origin}: needs [low, high] as whole numbers with low < high, got {json.dumps(values, default=str)}"
    )


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_logarithmic(low: float, values: object, origin: str) -> None:
    if low <= 0:
        raise InputError(f"{origin}: a logarithmic range needs bounds above 0, got {values}")


def _read_list(values: object, origin: str) -> list[object]:
    """Return a list that is neither empty nor has a value twice."""
    if not isinstance(values, list) or not values:
        raise InputError(f"{origin}: needs a list of at least one value, got {json.dumps(values, default=str)}")
    if len({json.dumps(_comparable(value), sort_keys=True, default=str) for value in values}) != len(values):
        raise InputError(f"{origin}: a value stands twice in {json.dumps(values, default=str)}")
    return values


def _comparable(value: object) -> object:
    """Return a value in which 8 and 8.0 are the same, also inside of lists."""
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
