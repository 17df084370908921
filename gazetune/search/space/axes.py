"""The axes of a search space: which values a dotted key may take, and how Optuna is asked for one of them.

An axis is one searched key. It knows four things about its values:

- how a trial of Optuna is asked for one (`suggest_value`), and which parameters Optuna keeps for it
  (`optuna_parameters`): a `subsets` axis is several yes/no parameters, a fixed one is none;
- which values a user may give for it by hand, in `try_first` for example (`accept_value`);
- some values that stand for all of them when a space is checked (`example_values`);
- how many values there are (`count_values`).

Values are what YAML can hold: numbers, texts, true and false, null, lists, mappings. They are typed as `object`, since
only the config says which of them a key accepts.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar, Protocol, TypeGuard

from optuna.distributions import CategoricalChoiceType

from gazetune.search.space.conditions import Condition, is_number, shown_value


class ValueSource(Protocol):
    """Who answers for a value: a trial of Optuna, or a draw that may become one (see `draws`)."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number between the bounds."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number between the bounds."""

    def suggest_categorical(self, name: str, choices: Sequence[CategoricalChoiceType]) -> CategoricalChoiceType:
        """Return one of the choices."""


@dataclass(frozen=True)
class Axis(ABC):
    """One dotted key that the search varies, where its condition holds."""

    kind_names: ClassVar[tuple[str, ...]] = ()
    """What such an axis is called in a space file."""
    key: str
    when: Condition
    name: str = field(default="", kw_only=True)
    """Name of Optuna's parameter, where another axis on the same key has other values; unset: the key."""

    @property
    def parameter_name(self) -> str:
        """The name under which Optuna knows the axis."""
        return self.name or self.key

    @abstractmethod
    def suggest_value(self, trial: ValueSource) -> object:
        """Ask the trial for a value."""

    @abstractmethod
    def example_values(self) -> Sequence[object]:
        """Return values that, if all are valid in the config, make every value of the axis valid."""

    def count_values(self) -> int | None:
        """Return how many values the axis has; None where they cannot be counted."""
        return len(self.example_values())

    @abstractmethod
    def accept_value(self, value: object) -> object:
        """Return a value in the form in which the axis proposes it.

        Raises
        ------
        ValueError
            For a value that the axis never proposes; the message says in words which ones it does.
        """

    @abstractmethod
    def optuna_parameters(self, value: object) -> dict[str, object]:
        """Return Optuna's parameters, by name, for a value that the axis accepts."""

    @abstractmethod
    def __str__(self) -> str:
        """Kind and values, as a space file has them."""


@dataclass(frozen=True)
class RangeAxis(Axis):
    """A real number between two bounds, on a linear or logarithmic scale."""

    kind_names = ("uniform", "log_uniform")
    low: float
    high: float
    log: bool

    def suggest_value(self, trial: ValueSource) -> float:
        """Ask for a float."""
        return trial.suggest_float(self.parameter_name, self.low, self.high, log=self.log)

    def example_values(self) -> list[float]:
        """Return the two bounds."""
        return [self.low, self.high]

    def count_values(self) -> None:
        """Return None: real numbers cannot be counted."""

    def accept_value(self, value: object) -> float:
        """Accept a number between the bounds."""
        if not is_number(value) or not self.low <= value <= self.high:
            raise ValueError(f"a number from {self.low:g} to {self.high:g}")
        return float(value)

    def optuna_parameters(self, value: object) -> dict[str, object]:
        """Return the number itself."""
        return {self.parameter_name: value}

    def __str__(self) -> str:
        return f"{'log_uniform' if self.log else 'uniform'} {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class IntAxis(Axis):
    """A whole number between two bounds, both included, in steps or on a logarithmic scale."""

    kind_names = ("int",)
    low: int
    high: int
    step: int = 1
    log: bool = False

    def suggest_value(self, trial: ValueSource) -> int:
        """Ask for an int."""
        return trial.suggest_int(self.parameter_name, self.low, self.high, step=self.step, log=self.log)

    def example_values(self) -> list[int]:
        """Return the two bounds."""
        return [self.low, self.high]

    def all_values(self) -> range:
        """Return every value."""
        return range(self.low, self.high + 1, self.step)

    def count_values(self) -> int:
        """Return how many whole numbers there are."""
        return (self.high - self.low) // self.step + 1  # `len` takes no range of 2**63 values

    def accept_value(self, value: object) -> int:
        """Accept a whole number that the steps lead to."""
        if not is_number(value) or not self.low <= value <= self.high or value not in self.all_values():
            raise ValueError(f"a whole number from {self.low} to {self.high} in steps of {self.step}")
        return int(value)

    def optuna_parameters(self, value: object) -> dict[str, object]:
        """Return the number itself."""
        return {self.parameter_name: value}

    def __str__(self) -> str:
        steps = f" in steps of {self.step}" if self.step > 1 else " on a log scale" if self.log else ""
        return f"int {self.low} to {self.high}{steps}"


@dataclass(frozen=True)
class ChoiceAxis(Axis):
    """One of a list of values of any kind.

    Examples
    --------
    Optuna keeps plain values alone, so lists and mappings have their JSON text for a label there.

    >>> dropout = ChoiceAxis("projector.dropout", Condition(), ([0.0, 0.1], [0.1, 0.3]))
    >>> dropout.optuna_parameters([0.1, 0.3])
    {'projector.dropout': '[0.1, 0.3]'}
    """

    kind_names = ("choice",)
    choices: tuple[object, ...]
    kind: str = "choice"

    @property
    def optuna_labels(self) -> list[CategoricalChoiceType]:
        """The choices as Optuna stores them: lists and mappings as their JSON text."""
        return [choice if _is_plain(choice) else json.dumps(choice) for choice in self.choices]

    def suggest_value(self, trial: ValueSource) -> object:
        """Ask for one of the choices."""
        labels = self.optuna_labels
        return self.choices[labels.index(trial.suggest_categorical(self.parameter_name, labels))]

    def example_values(self) -> list[object]:
        """Return every choice."""
        return list(self.choices)

    def accept_value(self, value: object) -> object:
        """Accept one of the choices; the names of a set in any order."""
        wanted = sorted(value) if self.kind == "subsets" and _is_name_list(value) else value
        for choice in self.choices:
            given = sorted(choice) if self.kind == "subsets" and _is_name_list(choice) else choice
            if given == wanted and isinstance(given, bool) == isinstance(wanted, bool):
                return choice
        raise ValueError(", ".join(map(shown_value, self.choices)))

    def optuna_parameters(self, value: object) -> dict[str, object]:
        """Return the label of the choice."""
        return {self.parameter_name: self.optuna_labels[self.choices.index(value)]}

    def __str__(self) -> str:
        return f"{self.kind} {', '.join(map(shown_value, self.choices))}"


@dataclass(frozen=True)
class SubsetsAxis(Axis):
    """A non-empty subset of some names, one yes/no for each, so that the sampler learns about each name by itself.

    Examples
    --------
    The last name is not asked for when no other was taken, since the subset must not be empty.

    >>> features = SubsetsAxis("gaze.features", Condition(), ("FFD", "GPT", "TRT"))
    >>> features.optuna_parameters(["TRT"])
    {'gaze.features.FFD': False, 'gaze.features.GPT': False}
    >>> features.accept_value(["TRT", "FFD"])
    ['FFD', 'TRT']
    >>> features.count_values()
    7
    """

    kind_names = ("subsets",)
    names: tuple[str, ...]

    def suggest_value(self, trial: ValueSource) -> list[str]:
        """Ask for the names one by one. The last is not asked for when no other was taken: it must be in then."""
        *first, last = self.names
        taken = [name for name in first if trial.suggest_categorical(f"{self.parameter_name}.{name}", [False, True])]
        if not taken or trial.suggest_categorical(f"{self.parameter_name}.{last}", [False, True]):
            taken.append(last)
        return taken

    def example_values(self) -> list[list[str]]:
        """Return each name alone, and all of them."""
        return [*([name] for name in self.names), list(self.names)]

    def all_values(self) -> list[list[str]]:
        """Return every subset, small ones first."""
        return list_subsets(self.names, range(1, len(self.names) + 1))

    def count_values(self) -> int:
        """Return how many subsets there are, without making them."""
        return 2 ** len(self.names) - 1

    def accept_value(self, value: object) -> list[str]:
        """Accept some of the names, in any order."""
        if not _is_name_list(value) or not value or not set(value) <= set(self.names) or len(set(value)) < len(value):
            raise ValueError(f"some of {', '.join(self.names)}")
        return [name for name in self.names if name in value]

    def optuna_parameters(self, value: object) -> dict[str, object]:
        """Return yes or no for each name that is asked for."""
        taken = self.accept_value(value)
        asked = self.names if any(name in taken for name in self.names[:-1]) else self.names[:-1]
        return {f"{self.parameter_name}.{name}": name in taken for name in asked}

    def __str__(self) -> str:
        return f"subsets {shown_value(self.names)}"


@dataclass(frozen=True)
class FixedAxis(Axis):
    """One value, set where a group was chosen; Optuna is not asked."""

    value: object

    def suggest_value(self, trial: ValueSource) -> object:
        """Ask for nothing."""
        return self.value

    def example_values(self) -> list[object]:
        """Return the value."""
        return [self.value]

    def accept_value(self, value: object) -> object:
        """Accept the value alone."""
        if value != self.value or isinstance(value, bool) != isinstance(self.value, bool):
            raise ValueError(shown_value(self.value))
        return value

    def optuna_parameters(self, value: object) -> dict[str, object]:
        """Return none, since Optuna is not asked."""
        return {}

    def __str__(self) -> str:
        return f"fixed {shown_value(self.value)}"


def list_subsets(names: Sequence[str], sizes: Sequence[int]) -> list[list[str]]:
    """Return the subsets of some names that have one of the sizes, by size, names in their order.

    Examples
    --------
    >>> list_subsets(["FFD", "GPT", "TRT"], [1, 3])
    [['FFD'], ['GPT'], ['TRT'], ['FFD', 'GPT', 'TRT']]
    """
    return [list(taken) for size in sizes for taken in combinations(names, size)]


def _is_name_list(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _is_plain(value: object) -> TypeGuard[CategoricalChoiceType]:
    return value is None or isinstance(value, bool | int | float | str)
