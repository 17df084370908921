"""Drawing a combination without a trial: a draw answers as a trial of Optuna does, and writes nothing.

A space asks whoever answers for its values (`SearchSpace.suggest_values`). When that is a trial, the study keeps every
answer. A draw keeps the answers to itself, so a combination can be looked at before a trial has it, and thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

AnswerFor = Callable[[str, BaseDistribution], Any]
"""Answers for a parameter, by its name and distribution, as a sampler of Optuna does (which returns Any)."""

Combination = frozenset[tuple[str, object]]
"""Optuna's parameters of a trial: pairs of name and value."""


class Draw:
    """One combination, which comes into being while a space asks for its values.

    Examples
    --------
    >>> draw = Draw({"adapter.r": 8}, lambda name, distribution: distribution.high)
    >>> draw.suggest_int("adapter.r", 1, 16), draw.has_choice
    (8, False)
    >>> draw.suggest_float("optim.weight_decay", 0.0, 0.3), draw.has_choice
    (0.3, True)
    >>> draw.params
    {'adapter.r': 8, 'optim.weight_decay': 0.3}
    """

    def __init__(self, given: Mapping[str, object], answer_for: AnswerFor) -> None:
        """`given` are the parameters that are decided already; `answer_for` answers for the others."""
        self.params: dict[str, Any] = {}
        """The parameters that were asked for."""
        self.has_choice = False
        """Whether another draw may come to other parameters."""
        self._given, self._answer_for = given, answer_for

    @property
    def combination(self) -> Combination:
        """The parameters, to be compared with those of other trials."""
        return frozenset(self.params.items())

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number between the bounds."""
        return float(self._decide_value(name, FloatDistribution(low, high, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number between the bounds."""
        return int(self._decide_value(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[CategoricalChoiceType]) -> CategoricalChoiceType:
        """Return one of the choices."""
        value: CategoricalChoiceType = self._decide_value(name, CategoricalDistribution(choices))
        return value

    def _decide_value(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self._given:
            self.params[name] = self._given[name]
        elif distribution.single():
            self.params[name] = _only_value(distribution)
        elif name not in self.params:
            self.has_choice = True
            self.params[name] = self._answer_for(name, distribution)
        return self.params[name]


def _only_value(distribution: BaseDistribution) -> object:
    """Return the one value of a distribution that has a single one, as Optuna's trial does without its sampler."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.to_external_repr(distribution.low)
