"""Proposals that no `forbid:` holds for, and that no trial of the search has yet.

Optuna decides a trial's parameters one by one, while the trial is asked for them, and writes each into the study. So a
combination that is forbidden is seen too late: the trial exists. Here a combination is drawn before the trial is told
of it (a `Draw`). What is rejected leaves no trace: no trial is spent on it, and the study never sees it.

    propose_values(trial, space, tried)
          |
          |  who answers in a draw                                   until
          |
          |-  the study's sampler, at most SAMPLER_DRAWS times       a draw is allowed
          |-  somebody near it, NEAR_DRAWS times                     one is new as well     (only after a repeat)
          |-  a uniform sampler, at most UNIFORM_DRAWS times         one is accepted
          |
          `-> the trial is told the accepted draw, and answers the space's questions with it

Two properties matter:

- After a forbidden draw the same sampler draws again. What is proposed then has the sampler's distribution, restricted
  to what is allowed (rejection sampling).
- Where the first draw is accepted it is the one that would have been made without any of this.

After a draw that was tried before ("a repeat") the sampler is not asked again. TPE that knows what it wants would draw
little else, each time at the cost of a proposal. Somebody near it answers instead: each parameter that the sampler drew
together with others is kept with a probability that falls from 1 to 0, and the rest is drawn uniformly.

Optuna can do none of this by itself. Its `constraints_func` tells a sampler afterwards how far a trial was from being
feasible, and such a trial is spent; no sampler but the exhaustive ones avoids a combination that was tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from gazetune.errors import RunError
from gazetune.search.space.draws import AnswerFor, Combination, Draw
from gazetune.search.space.search_space import SearchSpace

SAMPLER_DRAWS = 50
"""Draws of the study's sampler before uniform ones: some samplers propose the same again and again."""
UNIFORM_DRAWS = 20_000
NEAR_DRAWS = 100
"""Draws that keep ever less of the sampler's, before uniform ones."""
_DECIDED = "gazetune:decided_params"
"""A system attribute of a trial: the parameters that it was decided to have."""


class TriedCombinations:
    """The combinations of parameters that the trials of one search have, in whatever state they are.

    Examples
    --------
    >>> tried = TriedCombinations([frozenset({("adapter.r", 4)})], size=2)
    >>> tried.is_repeat(frozenset({("adapter.r", 4)}))
    True
    >>> tried.add(frozenset({("adapter.r", 8)}))
    >>> tried.is_repeat(frozenset({("adapter.r", 4)}))  # nothing else is left
    False
    """

    def __init__(self, combinations: Iterable[Combination], size: float) -> None:
        """`size`: how many combinations the space has, infinity where they cannot be counted."""
        self._combinations, self._size = set(combinations), size

    def is_repeat(self, combination: Combination) -> bool:
        """Tell whether a combination was tried while others were not."""
        return combination in self._combinations and len(self._combinations) < self._size

    def add(self, combination: Combination) -> None:
        """Note that a trial has a combination."""
        self._combinations.add(combination)


def propose_values(
    trial: optuna.Trial, space: SearchSpace, tried: TriedCombinations | None = None
) -> dict[str, object]:
    """Ask a trial of a study for its value of each open axis; none is forbidden, and none is a repeat of `tried`.

    Parameters that the trial has already, or was enqueued with, stay. Where no draw is new, the first allowed one is
    taken.

    Parameters
    ----------
    trial : optuna.Trial
        A trial that was just asked for, or one that a killed driver left.
    space : SearchSpace
        The space.
    tried : TriedCombinations, optional
        What must not come again; the new combination is added to it. Without it, repeats do not matter.

    Returns
    -------
    dict of str to value
        Dotted key -> value.

    Raises
    ------
    RunError
        When nothing allowed was found, which a space that was read without an error does not lead to.
    """
    # Without a rule to keep, the trial is asked directly, which saves a draw.
    if space.forbid or tried is not None:
        _decide_parameters(trial, _find_draw(trial, space, tried), tried)
    return space.suggest_values(trial)


def _find_draw(trial: optuna.Trial, space: SearchSpace, tried: TriedCombinations | None) -> Draw:
    """Return the first draw that is allowed and new; where none is new, the first allowed one."""
    stored = trial.storage.get_trial(trial._trial_id)
    given = given_parameters(stored)
    repeats: list[Draw] = []
    for answer_for in _who_answers(trial, stored, space.config.search.seed, repeats):
        draw = Draw(given, answer_for)
        if not space.is_allowed(space.suggest_values(draw)):
            continue
        if tried is None or not draw.has_choice or not tried.is_repeat(draw.combination):
            return draw
        repeats.append(draw)
    if not repeats:
        raise RunError(f"trial {trial.number}: no combination was found that no forbid: holds for")
    return repeats[0]


def _who_answers(trial: optuna.Trial, stored: FrozenTrial, seed: int, repeats: Sequence[Draw]) -> Iterator[AnswerFor]:
    """Yield who answers in each draw; the caller adds to `repeats` between two of them. See the top of this file."""
    study, relative = trial.study, trial.relative_params
    for number in range(SAMPLER_DRAWS):
        if number:
            relative = study.sampler.sample_relative(study, stored, trial.relative_search_space or {})
        yield _answer_with(study, stored, study.sampler, relative)
        if repeats:
            break
    seed = (seed + 1) * 1_000_003 + trial.number
    uniform = RandomSampler(seed=seed)
    if repeats:
        rng = np.random.default_rng(seed)
        for number in range(1, NEAR_DRAWS + 1):
            kept = {name: value for name, value in relative.items() if NEAR_DRAWS * rng.random() > number}
            yield _answer_with(study, stored, uniform, kept)
    for _ in range(UNIFORM_DRAWS):
        yield _answer_with(study, stored, uniform, {})


def _answer_with(
    study: optuna.Study, stored: FrozenTrial, sampler: BaseSampler, relative: Mapping[str, object]
) -> AnswerFor:
    """Answer as `optuna.Trial` does: with what was sampled together first, then with one by itself."""

    def answer_for(name: str, distribution: BaseDistribution) -> object:
        if name in relative and distribution._contains(distribution.to_internal_repr(relative[name])):
            return relative[name]
        return sampler.sample_independent(study, stored, name, distribution)

    return answer_for


def given_parameters(trial: FrozenTrial) -> dict[str, object]:
    """Return the parameters that a trial has, was decided to have, or was enqueued with."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.system_attrs.get(_DECIDED, {}), **trial.params}


def _decide_parameters(trial: optuna.Trial, draw: Draw, tried: TriedCombinations | None) -> None:
    """Make the trial answer with the parameters of a draw, as one of `Study.enqueue_trial` does.

    They are stored first: a process that is killed while the trial asks for one after the other leaves it decided.
    """
    trial.storage.set_trial_system_attr(trial._trial_id, _DECIDED, draw.params)
    trial._fixed_params = draw.params
    if tried is not None:
        tried.add(draw.combination)
