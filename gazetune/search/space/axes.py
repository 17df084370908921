"""The axes of a search space: what a dotted key may become, and how Optuna is asked for it."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

from gazetune.search.space.conditions import Condition, is_number, shown_value


class Asked(Protocol):
    """Who answers for a value: a trial of Optuna, or a draw that becomes one."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number between the bounds."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number between the bounds."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""


@dataclass(frozen=True)
class Axis(ABC):
    """One dotted key that the search varies, where its condition holds."""

    key: str
    when: Condition
    name: str = field(default="", kw_only=True)
    """Name of Optuna's parameter, where another axis on the same key has other values; unset: the key."""

    @property
    def parameter(self) -> str:
        """The name under which Optuna knows the axis."""
        return self.name or self.key

    @abstractmethod
    def suggest(self, trial: Asked) -> Any:
        """Ask the trial for a value."""

    @abstractmethod
    def examples(self) -> list[Any]:
        """Values that, if all are valid in the config, make every value of the axis valid."""

    @abstractmethod
    def accept(self, value: Any) -> Any:
        """Return a value in the form in which the axis proposes it; raise `ValueError` for one it never proposes."""

    @abstractmethod
    def parameters(self, value: Any) -> dict[str, Any]:
        """Return Optuna's parameters for a value that the axis accepts."""

    @abstractmethod
    def __str__(self) -> str:
        """Kind and values, as a space file has them."""


@dataclass(frozen=True)
class RangeAxis(Axis):
    """A real number between two bounds, on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool

    def suggest(self, trial: Asked) -> float:
        """Ask for a float."""
        return trial.suggest_float(self.parameter, self.low, self.high, log=self.log)

    def examples(self) -> list[float]:
        """The two bounds."""
        return [self.low, self.high]

    def accept(self, value: Any) -> float:
        """Accept a number between the bounds."""
        if not is_number(value) or not self.low <= value <= self.high:
            raise ValueError(f"a number from {self.low:g} to {self.high:g}")
        return float(value)

    def parameters(self, value: Any) -> dict[str, Any]:
        """The number itself."""
        return {self.parameter: value}

    def __str__(self) -> str:
        return f"{'log_uniform' if self.log else 'uniform'} {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class IntAxis(Axis):
    """A whole number between two bounds, both included, in steps or on a logarithmic scale."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def suggest(self, trial: Asked) -> int:
        """Ask for an int."""
        return trial.suggest_int(self.parameter, self.low, self.high, step=self.step, log=self.log)

    def examples(self) -> list[int]:
        """The two bounds."""
        return [self.low, self.high]

    def values(self) -> range:
        """Every value."""
        return range(self.low, self.high + 1, self.step)

    def accept(self, value: Any) -> int:
        """Accept a whole number on the grid."""
        if not is_number(value) or not math.isfinite(value) or value not in self.values():
            raise ValueError(f"a whole number from {self.low} to {self.high} in steps of {self.step}")
        return int(value)

    def parameters(self, value: Any) -> dict[str, Any]:
        """The number itself."""
        return {self.parameter: value}

    def __str__(self) -> str:
        steps = f" in steps of {self.step}" if self.step > 1 else " on a log scale" if self.log else ""
        return f"int {self.low} to {self.high}{steps}"


@dataclass(frozen=True)
class ChoiceAxis(Axis):
    """One of a list of values of any kind."""

    choices: tuple[Any, ...]
    kind: str = "choice"

    @property
    def labels(self) -> list[Any]:
        """The choices as Optuna stores them: lists and mappings as their JSON text."""
        return [choice if _is_plain(choice) else json.dumps(choice) for choice in self.choices]

    def suggest(self, trial: Asked) -> Any:
        """Ask for one of the choices."""
        labels = self.labels
        return self.choices[labels.index(trial.suggest_categorical(self.parameter, labels))]

    def examples(self) -> list[Any]:
        """Every choice."""
        return list(self.choices)

    def accept(self, value: Any) -> Any:
        """Accept one of the choices; the names of a set in any order."""
        wanted = sorted(value) if self.kind == "subsets" and _are_names(value) else value
        for choice in self.choices:
            given = sorted(choice) if self.kind == "subsets" else choice
            if given == wanted and isinstance(given, bool) == isinstance(wanted, bool):
                return choice
        raise ValueError(", ".join(map(shown_value, self.choices)))

    def parameters(self, value: Any) -> dict[str, Any]:
        """The label of the choice."""
        return {self.parameter: self.labels[self.choices.index(value)]}

    def __str__(self) -> str:
        return f"{self.kind} {', '.join(map(shown_value, self.choices))}"


@dataclass(frozen=True)
class SubsetsAxis(Axis):
    """A non-empty subset of some names, one yes/no for each, so that the sampler learns about each name by itself."""

    names: tuple[str, ...]

    def suggest(self, trial: Asked) -> list[str]:
        """Ask for the names one by one. The last is not asked for when no other was taken: it must be in then."""
        *first, last = self.names
        taken = [name for name in first if trial.suggest_categorical(f"{self.parameter}.{name}", [False, True])]
        if not taken or trial.suggest_categorical(f"{self.parameter}.{last}", [False, True]):
            taken.append(last)
        return taken

    def examples(self) -> list[list[str]]:
        """Each name alone, and all of them."""
        return [*([name] for name in self.names), list(self.names)]

    def values(self) -> list[list[str]]:
        """Every subset, small ones first."""
        return subsets_of(self.names, range(1, len(self.names) + 1))

    def accept(self, value: Any) -> list[str]:
        """Accept some of the names, in any order."""
        if not _are_names(value) or not value or not set(value) <= set(self.names) or len(set(value)) < len(value):
            raise ValueError(f"some of {', '.join(self.names)}")
        return [name for name in self.names if name in value]

    def parameters(self, value: Any) -> dict[str, Any]:
        """Yes or no for each name that is asked for."""
        asked = self.names if any(name in value for name in self.names[:-1]) else self.names[:-1]
        return {f"{self.parameter}.{name}": name in value for name in asked}

    def __str__(self) -> str:
        return f"subsets {shown_value(self.names)}"


@dataclass(frozen=True)
class FixedAxis(Axis):
    """One value, set where a group was chosen; Optuna is not asked."""

    value: Any

    def suggest(self, trial: Asked) -> Any:
        """Ask for nothing."""
        return self.value

    def examples(self) -> list[Any]:
        """The value."""
        return [self.value]

    def accept(self, value: Any) -> Any:
        """Accept the value alone."""
        if value != self.value or isinstance(value, bool) != isinstance(self.value, bool):
            raise ValueError(shown_value(self.value))
        return value

    def parameters(self, value: Any) -> dict[str, Any]:
        """None, since Optuna is not asked."""
        return {}

    def __str__(self) -> str:
        return f"fixed {shown_value(self.value)}"


def subsets_of(names: Sequence[str], sizes: Sequence[int]) -> list[list[str]]:
    """Return the subsets of some names that have one of the sizes, by size, names in their order."""
    return [list(taken) for size in sizes for taken in combinations(names, size)]


def axis_size(axis: Axis) -> int | None:
    """Return how many values an axis has; None where they cannot be counted."""
    if isinstance(axis, RangeAxis):
        return None
    if isinstance(axis, IntAxis):
        return len(axis.values())
    if isinstance(axis, SubsetsAxis):
        return 2 ** len(axis.names) - 1
    return len(axis.examples())


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
