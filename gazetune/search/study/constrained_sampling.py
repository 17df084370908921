"""Proposals that no `forbid:` holds for, and that no trial of the search has yet.

A combination is drawn before the trial is told of it, so that one that is forbidden or was tried leaves no trace: no
trial is spent, and the study never sees it. After a forbidden one the same sampler draws again, so what is proposed has
its distribution restricted to what is allowed. After one that was tried, what the sampler drew together is kept with a
probability that falls from 1 to 0, parameter by parameter, and the rest is drawn uniformly. Where the first draw is
accepted it is the one that would have been made without any of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gazetune.errors import RunError
from gazetune.search.space.axes import Asked

SAMPLER_DRAWS = 50
"""Draws of the study's sampler before uniform ones: some samplers propose the same again and again."""
UNIFORM_DRAWS = 20_000
NEAR_DRAWS = 100
"""Draws that keep ever less of the sampler's, before uniform ones."""
_DECIDED = "gazetune:decided_params"

Choose = Callable[[Asked], dict[str, Any]]
"""Asks for the value of each open axis; returns dotted key -> value."""
Combination = frozenset[tuple[str, Any]]
"""Optuna's parameters of a trial, by name."""


class Tried:
    """The combinations of parameters that the trials of one search have, in whatever state they are."""

    def __init__(self, combinations: Iterable[Combination], size: float) -> None:
        """`size`: how many combinations the space has, infinity where they cannot be counted."""
        self._combinations, self._size = set(combinations), size

    def excludes(self, combination: Combination) -> bool:
        """Tell whether a combination was tried while others were not."""
        return combination in self._combinations and len(self._combinations) < self._size

    def add(self, combination: Combination) -> None:
        """Note that a trial has a combination."""
        self._combinations.add(combination)


class Draw:
    """Answers as a trial does, but writes nothing."""

    def __init__(self, given: Mapping[str, Any], ask: Callable[[str, BaseDistribution], Any]) -> None:
        """`given` are the parameters that are decided already; `ask` answers for the others."""
        self.params: dict[str, Any] = {}
        """The parameters that were asked for."""
        self.free = False
        """Whether another draw may come to other parameters."""
        self._given, self._ask = given, ask

    @property
    def combination(self) -> Combination:
        """The parameters, to be compared with those of other trials."""
        return frozenset(self.params.items())

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
        if name in self._given:
            self.params[name] = self._given[name]
        elif distribution.single():
            self.params[name] = distribution.to_external_repr(_only(distribution))
        elif name not in self.params:
            self.free = True
            self.params[name] = self._ask(name, distribution)
        return self.params[name]


def propose(
    choose: Choose,
    allowed: Callable[[Mapping[str, Any]], bool],
    tried: Tried | None,
    trial: optuna.Trial,
    seed: int,
) -> None:
    """Decide the trial's parameters: the first draw that is allowed and was not tried.

    Parameters that the trial has already, or was enqueued with, stay. Where no draw is new, the first allowed one is
    taken.

    Raises
    ------
    RunError
        When nothing allowed was found, which a space that was read without an error does not lead to.
    """
    stored = trial.storage.get_trial(trial._trial_id)
    given = given_parameters(stored)
    repeats: list[Draw] = []
    for answers in _draws(trial, stored, seed, repeats):
        draw = Draw(given, answers)
        if not allowed(choose(draw)):
            continue
        if tried is None or not draw.free or not tried.excludes(draw.combination):
            return _decide(trial, draw, tried)
        repeats.append(draw)
    if not repeats:
        raise RunError(f"trial {trial.number}: no combination was found that no forbid: holds for")
    _decide(trial, repeats[0], tried)


def _draws(
    trial: optuna.Trial, stored: optuna.trial.FrozenTrial, seed: int, repeats: Sequence[Draw]
) -> Iterator[Callable[[str, BaseDistribution], Any]]:
    """Yield who answers in each draw: the sampler, after the first of `repeats` somebody near it, then anybody.

    TPE that knows what it wants draws little else, each time at the cost of a proposal; hence near it instead.
    """
    study, relative = trial.study, trial.relative_params
    for number in range(SAMPLER_DRAWS):
        if number:
            relative = study.sampler.sample_relative(study, stored, trial.relative_search_space or {})
        yield _answers(study, stored, study.sampler, relative)
        if repeats:
            break
    seed = (seed + 1) * 1_000_003 + trial.number
    uniform = optuna.samplers.RandomSampler(seed=seed)
    if repeats:
        rng = np.random.default_rng(seed)
        for number in range(1, NEAR_DRAWS + 1):
            kept = {name: value for name, value in relative.items() if NEAR_DRAWS * rng.random() > number}
            yield _answers(study, stored, uniform, kept)
    for _ in range(UNIFORM_DRAWS):
        yield _answers(study, stored, uniform, {})


def given_parameters(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """Return the parameters that a trial has, was decided to have, or was enqueued with."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.system_attrs.get(_DECIDED, {}), **trial.params}


def _answers(
    study: optuna.Study,
    stored: optuna.trial.FrozenTrial,
    sampler: optuna.samplers.BaseSampler,
    relative: Mapping[str, Any],
) -> Callable[[str, BaseDistribution], Any]:
    """Answer as `optuna.Trial` does: with what was sampled together first, then with one by itself."""

    def answer(name: str, distribution: BaseDistribution) -> Any:
        if name in relative and distribution._contains(distribution.to_internal_repr(relative[name])):
            return relative[name]
        return sampler.sample_independent(study, stored, name, distribution)

    return answer


def _only(distribution: BaseDistribution) -> float:
    return 0.0 if isinstance(distribution, CategoricalDistribution) else float(distribution.low)  # type: ignore[attr-defined]


def _decide(trial: optuna.Trial, draw: Draw, tried: Tried | None) -> None:
    """Make the trial answer with the parameters of a draw, as one of `Study.enqueue_trial` does.

    They are stored first: a process that is killed while the trial asks for one after the other leaves it decided.
    """
    trial.storage.set_trial_system_attr(trial._trial_id, _DECIDED, draw.params)
    trial._fixed_params = draw.params
    if tried is not None:
        tried.add(draw.combination)


def share_allowed(choose: Choose, allowed: Callable[[Mapping[str, Any]], bool], draws: int) -> float:
    """Return the share of uniform draws that are allowed (seed 0)."""
    nothing: Any = None  # a random sampler looks at neither study nor trial
    answers = _answers(nothing, nothing, optuna.samplers.RandomSampler(seed=0), {})
    return sum(allowed(choose(Draw({}, answers))) for _ in range(draws)) / draws
