"""`when:` conditions of a search space: an axis is only chosen where values chosen before it make it matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gazetune.errors import InputError

_CLAUSE = re.compile(r"^\s*([A-Za-z_][\w.]*)(?:\s*(==|!=)\s*|\s+(not\s+in|in)\s+)(\S.*?)\s*$")


@dataclass(frozen=True)
class Clause:
    """One comparison of a dotted key with a value (`==`, `!=`) or a list of values (`in`, `not in`)."""

    key: str
    operator: str
    value: Any

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tell whether the clause holds for the value that `values` has under its key."""
        given = values[self.key]
        if self.operator in ("==", "!="):
            return (given == self.value) == (self.operator == "==")
        return (given in self.value) == (self.operator == "in")


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


def parse_condition(text: str, origin: str) -> Condition:
    """Parse `key == value`, `key != value`, `key in [a, b]` or `key not in [a, b]`, joined by `and`.

    Raises
    ------
    InputError
        When a clause has another form; `origin` names file and axis.
    """
    clauses = []
    for part in re.split(r"\s+and\s+", str(text)):
        found = _CLAUSE.match(part)
        if found is None:
            raise InputError(
                f"{origin}: when: '{part}' is no condition; accepted: KEY == VALUE, KEY != VALUE, KEY in [A, B], "
                "KEY not in [A, B], joined by 'and'"
            )
        value = yaml.safe_load(found[4])
        operator = " ".join((found[2] or found[3]).split())
        if operator.endswith("in") and not isinstance(value, list):
            raise InputError(f"{origin}: when: '{part}' needs a list in square brackets after '{operator}'")
        clauses.append(Clause(found[1], operator, value))
    return Condition(tuple(clauses))
