"""Conditions of a search space: where an axis matters (`when:`), and which combinations are left out (`forbid:`)."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from gazetune.config.yaml_file import parse_yaml_value
from gazetune.errors import InputError

_CLAUSE = re.compile(r"^\s*([A-Za-z_][\w.]*)(?:\s*(==|!=|<=|>=|<|>)\s*|\s+(not\s+in|in)\s+)(\S.*?)\s*$")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Clause:
    """One comparison of a dotted key with a value (`==`, `!=`, `<`, `<=`, `>`, `>=`) or a list (`in`, `not in`)."""

    key: str
    operator: str
    value: object

    def holds(self, values: Mapping[str, object]) -> bool:
        """Tell whether the clause holds for the value that `values` has under its key.

        What is no number is neither below nor above one.
        """
        given = values[self.key]
        if self.operator in _ORDER:
            return is_number(given) and is_number(self.value) and _ORDER[self.operator](given, self.value)
        return (given in self.named_values) == (self.operator in ("==", "in"))

    @property
    def named_values(self) -> list[object]:
        """The values that the clause compares with: those of its list, or the one it names."""
        return list(self.value) if isinstance(self.value, list) and self.operator.endswith("in") else [self.value]

    def __str__(self) -> str:
        return f"{self.key} {self.operator} {shown_value(self.value)}"


@dataclass(frozen=True)
class Condition:
    """Clauses joined by `and`; without a clause it always holds."""

    clauses: tuple[Clause, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """The dotted keys that must be known before the condition can be decided."""
        return frozenset(clause.key for clause in self.clauses)

    def holds(self, values: Mapping[str, object]) -> bool:
        """Tell whether every clause holds.

        Examples
        --------
        >>> deep = parse_condition("fusion.kind == add and adapter.r > 4", "space.yaml:7: forbid")
        >>> deep.holds({"fusion.kind": "add", "adapter.r": 8})
        True
        >>> deep.holds({"fusion.kind": "add", "adapter.r": 4})
        False
        """
        return all(clause.holds(values) for clause in self.clauses)

    def joined_with(self, other: Condition) -> Condition:
        """Return the condition that holds where both do."""
        more = tuple(clause for clause in other.clauses if clause not in self.clauses)
        return Condition(self.clauses + more)

    def without_keys(self, keys: set[str]) -> Condition:
        """Return the condition without its clauses on some keys."""
        return Condition(tuple(clause for clause in self.clauses if clause.key not in keys))

    def contradicts(self, other: Condition) -> bool:
        """Tell whether the two ask for different values of one key, so that never both hold.

        Examples
        --------
        >>> none, add = (parse_condition(f"fusion.kind == {kind}", "here") for kind in ("none", "add"))
        >>> none.contradicts(add), none.contradicts(none)
        (True, False)
        """
        asked = {clause.key: clause.value for clause in self.clauses if clause.operator == "=="}
        return any(
            clause.operator == "==" and clause.key in asked and asked[clause.key] != clause.value
            for clause in other.clauses
        )

    def __str__(self) -> str:
        return " and ".join(map(str, self.clauses))


def parse_condition(text: object, origin: str) -> Condition:
    """Parse comparisons such as `key == value` or `key in [a, b]`, joined by `and`.

    Raises
    ------
    InputError
        When a clause has another form; `origin` names file, axis and `when` or `forbid`.

    Examples
    --------
    >>> print(parse_condition("fusion.kind in [add, concat] and optim.learning_rate > 1e-4", "space.yaml:3: when"))
    fusion.kind in [add, concat] and optim.learning_rate > 0.0001
    """
    return Condition(tuple(_parse_clause(part, origin) for part in re.split(r"\s+and\s+", str(text))))


def _parse_clause(part: str, origin: str) -> Clause:
    found = _CLAUSE.match(part)
    if found is None:
        raise InputError(
            f"{origin}: '{part}' is no condition; accepted: KEY == VALUE, KEY != VALUE, KEY < NUMBER (or <=, >, >=), "
            "KEY in [A, B], KEY not in [A, B], joined by 'and'"
        )
    sign = " ".join((found[2] or found[3]).split())
    try:
        value = parse_yaml_value(found[4])
    except InputError:
        raise InputError(f"{origin}: '{part}': {found[4]} is no YAML value") from None
    if sign.endswith("in"):
        if not isinstance(value, list):
            raise InputError(f"{origin}: '{part}' needs a list in square brackets after '{sign}'")
        return Clause(found[1], sign, value)
    if sign in _ORDER and not is_number(value):
        raise InputError(f"{origin}: '{part}' needs a number after '{sign}'")
    return Clause(found[1], sign, value)


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value is a number; true and false are none.

    Examples
    --------
    >>> is_number(1e-4), is_number(True), is_number("1e-4")
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown_value(value: object) -> str:
    """Return a value as a space file would have it, in one line.

    Examples
    --------
    >>> shown_value(["none", 0.1, True, None])
    '[none, 0.1, true, null]'
    """
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown_value, value))}]"
    return value if isinstance(value, str) else json.dumps(value, default=str)
