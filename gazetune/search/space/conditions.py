"""Conditions of a search space: where an axis matters (`when:`), and which combinations are left out (`forbid:`)."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gazetune.errors import InputError

_CLAUSE = re.compile(r"^\s*([A-Za-z_][\w.]*)(?:\s*(==|!=|<=|>=|<|>)\s*|\s+(not\s+in|in)\s+)(\S.*?)\s*$")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# PyYAML reads 1e-4 as a text; see `config_file`.
_EXPONENT = re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


@dataclass(frozen=True)
class Clause:
    """One comparison of a dotted key with a value (`==`, `!=`, `<`, `<=`, `>`, `>=`) or a list (`in`, `not in`)."""

    key: str
    operator: str
    value: Any

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tell whether the clause holds for the value that `values` has under its key.

        What is no number is neither below nor above one.
        """
        given = values[self.key]
        if self.operator in _ORDER:
            return is_number(given) and _ORDER[self.operator](given, self.value)
        if self.operator in ("==", "!="):
            return (given == self.value) == (self.operator == "==")
        return (given in self.value) == (self.operator == "in")

    @property
    def values(self) -> list[Any]:
        """The values that the clause names."""
        return list(self.value) if self.operator.endswith("in") else [self.value]

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

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tell whether every clause holds."""
        return all(clause.holds(values) for clause in self.clauses)

    def joined(self, other: Condition) -> Condition:
        """Return the condition that holds where both do."""
        more = tuple(clause for clause in other.clauses if clause not in self.clauses)
        return Condition(self.clauses + more)

    def excludes(self, other: Condition) -> bool:
        """Tell whether the two ask for different values of one key, so that never both hold."""
        asked = {clause.key: clause.value for clause in self.clauses if clause.operator == "=="}
        return any(
            clause.operator == "==" and clause.key in asked and asked[clause.key] != clause.value
            for clause in other.clauses
        )

    def __str__(self) -> str:
        return " and ".join(map(str, self.clauses))


def parse_condition(text: Any, origin: str) -> Condition:
    """Parse comparisons such as `key == value` or `key in [a, b]`, joined by `and`.

    Raises
    ------
    InputError
        When a clause has another form; `origin` names file, axis and `when` or `forbid`.
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
        value = yaml.safe_load(found[4])
    except yaml.YAMLError:
        raise InputError(f"{origin}: '{part}': {found[4]} is no YAML value") from None
    if sign.endswith("in"):
        if not isinstance(value, list):
            raise InputError(f"{origin}: '{part}' needs a list in square brackets after '{sign}'")
        value = [_number(each) for each in value]
    else:
        value = _number(value)
    if sign in _ORDER and not is_number(value):
        raise InputError(f"{origin}: '{part}' needs a number after '{sign}'")
    return Clause(found[1], sign, value)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown_value(value: Any) -> str:
    """Return a value as a space file would have it, in one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown_value, value))}]"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and _EXPONENT.match(value) else value
