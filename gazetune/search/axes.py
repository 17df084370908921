"""The axes of a search space: what a dotted key may become, and how Optuna is asked for it."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from gazetune.errors import InputError, did_you_mean
from gazetune.search.conditions import Condition, parse_condition


@dataclass(frozen=True)
class Axis(ABC):
    """One dotted key that the search varies, where its condition holds."""

    key: str
    when: Condition

    @abstractmethod
    def suggest(self, trial: optuna.trial.BaseTrial) -> Any:
        """Ask the trial for a value."""

    @abstractmethod
    def examples(self) -> list[Any]:
        """Values that, if all are valid in the config, make every value of the axis valid."""


@dataclass(frozen=True)
class RangeAxis(Axis):
    """A real number between two bounds, on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool

    def suggest(self, trial: optuna.trial.BaseTrial) -> float:
        """Ask for a float."""
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)

    def examples(self) -> list[float]:
        """The two bounds."""
        return [self.low, self.high]


@dataclass(frozen=True)
class IntAxis(Axis):
    """A whole number between two bounds, both included."""

    low: int
    high: int

    def suggest(self, trial: optuna.trial.BaseTrial) -> int:
        """Ask for an int."""
        return trial.suggest_int(self.key, self.low, self.high)

    def examples(self) -> list[int]:
        """The two bounds."""
        return [self.low, self.high]


@dataclass(frozen=True)
class ChoiceAxis(Axis):
    """One of a list of values of any kind."""

    choices: tuple[Any, ...]

    def suggest(self, trial: optuna.trial.BaseTrial) -> Any:
        """Ask for one of the choices; Optuna stores lists as their JSON text."""
        labels = [choice if _is_plain(choice) else json.dumps(choice) for choice in self.choices]
        return self.choices[labels.index(trial.suggest_categorical(self.key, labels))]

    def examples(self) -> list[Any]:
        """Every choice."""
        return list(self.choices)


@dataclass(frozen=True)
class SubsetsAxis(Axis):
    """A non-empty subset of some names, one yes/no for each, so that the sampler learns about each name by itself."""

    names: tuple[str, ...]

    def suggest(self, trial: optuna.trial.BaseTrial) -> list[str]:
        """Ask for the names one by one. The last is not asked for when no other was taken: it must be in then."""
        *first, last = self.names
        taken = [name for name in first if trial.suggest_categorical(f"{self.key}.{name}", [False, True])]
        if not taken or trial.suggest_categorical(f"{self.key}.{last}", [False, True]):
            taken.append(last)
        return taken

    def examples(self) -> list[list[str]]:
        """Each name alone, and all of them."""
        return [*([name] for name in self.names), list(self.names)]


def parse_axis(key: str, entry: Any, origin: str) -> Axis:
    """Parse one entry of a space: `{KIND: VALUES, when: CONDITION}`.

    Raises
    ------
    InputError
        For an unknown kind, values that the kind cannot take, or a condition that cannot be read.
    """
    kinds = [name for name in entry if name != "when"] if isinstance(entry, Mapping) else []
    if len(kinds) != 1 or kinds[0] not in _KINDS:
        wrong = f"; {did_you_mean(str(kinds[0]), _KINDS)}" if len(kinds) == 1 else f"; accepted: {', '.join(_KINDS)}"
        raise InputError(f"{origin}: {key}: {json.dumps(entry, default=str)} is no axis{wrong}")
    when = parse_condition(entry["when"], f"{origin}: {key}") if "when" in entry else Condition()
    return _KINDS[kinds[0]](key, when, entry[kinds[0]], f"{origin}: {key}: {kinds[0]}")


def _range(log: bool) -> Callable[[str, Condition, Any, str], Axis]:
    def parse(key: str, when: Condition, values: Any, origin: str) -> Axis:
        low, high = _bounds(values, origin, (int, float))
        if log and low <= 0:
            raise InputError(f"{origin}: a logarithmic range needs bounds above 0, got {values}")
        return RangeAxis(key, when, float(low), float(high), log)

    return parse


def _int(key: str, when: Condition, values: Any, origin: str) -> Axis:
    return IntAxis(key, when, *_bounds(values, origin, (int,)))


def _choice(key: str, when: Condition, values: Any, origin: str) -> Axis:
    _check_list(values, origin)
    return ChoiceAxis(key, when, tuple(values))


def _subsets(key: str, when: Condition, values: Any, origin: str) -> Axis:
    _check_list(values, origin)
    if not all(isinstance(value, str) for value in values):
        raise InputError(f"{origin}: needs a list of names, got {values}")
    return SubsetsAxis(key, when, tuple(values))


_KINDS: dict[str, Callable[[str, Condition, Any, str], Axis]] = {
    "uniform": _range(log=False),
    "log_uniform": _range(log=True),
    "int": _int,
    "choice": _choice,
    "subsets": _subsets,
}


def _bounds(values: Any, origin: str, kinds: tuple[type, ...]) -> list[Any]:
    numbers = isinstance(values, list) and all(isinstance(v, kinds) and not isinstance(v, bool) for v in values)
    if not numbers or len(values) != 2 or not all(map(math.isfinite, values)) or values[0] >= values[1]:
        raise InputError(f"{origin}: needs [low, high] with low < high, got {json.dumps(values, default=str)}")
    return values


def _check_list(values: Any, origin: str) -> None:
    if not isinstance(values, list) or not values:
        raise InputError(f"{origin}: needs a list of at least one value, got {json.dumps(values, default=str)}")
    if len({json.dumps(value, sort_keys=True, default=str) for value in values}) != len(values):
        raise InputError(f"{origin}: a value stands twice in {json.dumps(values, default=str)}")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
