"""Proposals that no `forbid:` holds for.

A combination is drawn before the trial is told of it, so that a forbidden one leaves no trace: no trial is spent, and
the study never sees it. Another draw of the same sampler follows. What is proposed therefore has the sampler's own
distribution restricted to what is allowed, and where the first draw is allowed it is the one that would have been made
without `forbid:`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gazetune.errors import RunError
from gazetune.search.space.axes import Asked

SAMPLER_DRAWS = 50
"""Draws of the study's sampler before uniform ones: some samplers propose the same again and again."""
UNIFORM_DRAWS = 20_000
_DECIDED = "gazetune:decided_params"

Choose = Callable[[Asked], dict[str, Any]]
"""Asks for the value of each open axis; returns dotted key -> value."""


class Draw:
    """Answers as a trial does, but writes nothing."""

    def __init__(self, given: Mapping[str, Any], ask: Callable[[str, BaseDistribution], Any]) -> None:
        """`given` are the parameters that are decided already; `ask` answers for the others."""
        self.params: dict[str, Any] = dict(given)
        self._ask = ask

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number between the bounds."""
        return float(self._value(name, FloatDistribution(low, high, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number between the bounds."""
        return int(self._value(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""
        return self._value(name, CategoricalDistribution(choices))

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self.params:
            self.params[name] = self._ask(name, distribution)
        return self.params[name]


def propose(choose: Choose, allowed: Callable[[Mapping[str, Any]], bool], trial: optuna.Trial, seed: int) -> None:
    """Decide the trial's parameters: the first draw that is allowed.

    Parameters that the trial has already, or was enqueued with, stay.

    Raises
    ------
    RunError
        When nothing allowed was found, which a space that was read without an error does not lead to.
    """
    stored = trial.storage.get_trial(trial._trial_id)
    given = {**stored.system_attrs.get("fixed_params", {}), **stored.system_attrs.get(_DECIDED, {}), **stored.params}
    sampler = trial.study.sampler
    uniform = optuna.samplers.RandomSampler(seed=(seed + 1) * 1_000_003 + trial.number)
    relative = trial.relative_params
    for number in range(SAMPLER_DRAWS + UNIFORM_DRAWS):
        if 0 < number < SAMPLER_DRAWS:
            relative = sampler.sample_relative(trial.study, stored, trial.relative_search_space or {})
        if number == SAMPLER_DRAWS:
            sampler, relative = uniform, {}
        draw = Draw(given, _answers(trial.study, stored, sampler, relative))
        if allowed(choose(draw)):
            _decide(trial, draw.params)
            return
    raise RunError(f"trial {trial.number}: no combination was found that no forbid: holds for")


def _answers(
    study: optuna.Study,
    stored: optuna.trial.FrozenTrial,
    sampler: optuna.samplers.BaseSampler,
    relative: Mapping[str, Any],
) -> Callable[[str, BaseDistribution], Any]:
    """Answer as `optuna.Trial` does: a single value first, then what was sampled together, then one by itself."""

    def answer(name: str, distribution: BaseDistribution) -> Any:
        if distribution.single():
            return distribution.to_external_repr(_only(distribution))
        if name in relative and distribution._contains(distribution.to_internal_repr(relative[name])):
            return relative[name]
        return sampler.sample_independent(study, stored, name, distribution)

    return answer


def _only(distribution: BaseDistribution) -> float:
    return 0.0 if isinstance(distribution, CategoricalDistribution) else float(distribution.low)  # type: ignore[attr-defined]


def _decide(trial: optuna.Trial, params: dict[str, Any]) -> None:
    """Make the trial answer with these parameters, as one of `Study.enqueue_trial` does.

    They are stored first: a process that is killed while the trial asks for one after the other leaves it decided.
    """
    trial.storage.set_trial_system_attr(trial._trial_id, _DECIDED, params)
    trial._fixed_params = params


def share_allowed(choose: Choose, allowed: Callable[[Mapping[str, Any]], bool], draws: int) -> float:
    """Return the share of uniform draws that are allowed (seed 0)."""
    nothing: Any = None  # a random sampler looks at neither study nor trial
    answers = _answers(nothing, nothing, optuna.samplers.RandomSampler(seed=0), {})
    return sum(allowed(choose(Draw({}, answers))) for _ in range(draws)) / draws
