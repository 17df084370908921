"""What is wrong with a space that can be read: conditions that never hold, nothing to propose, refused values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import optuna

from gazetune.config.keys import accepted_values, config_keys
from gazetune.errors import InputError
from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis, RangeAxis
from gazetune.search.space.combinations import MOST_CASES, Case
from gazetune.search.space.conditions import Clause, Condition, is_number, shown_value
from gazetune.search.space.draws import Draw
from gazetune.search.space.extras import Extras
from gazetune.search.space.groups import LocatedAxis, check_known_key
from gazetune.search.space.points import locate_point, optuna_parameters, try_first_points
from gazetune.search.space.search_space import SearchSpace
from gazetune.train.checks import check_config

_DRAWS = 1000
"""Uniform draws of which at least one must be allowed."""


def order_axes(located: Sequence[LocatedAxis], extras: Extras) -> list[LocatedAxis]:
    """Order the axes so that each comes after those its condition asks about; keep the file's order otherwise.

    Raises
    ------
    InputError
        For conditions on keys that do not exist, or in a circle.
    """
    groups = [each.axis.key for each in located if each.axis.key not in config_keys()]
    for each in located:
        for key in sorted(each.axis.when.keys):
            check_known_key(key, groups, f"{each.location}: {each.axis.key}: when")
    for condition in extras.forbid:
        for key in sorted(condition.keys):
            check_known_key(key, groups, f"{extras.forbid_location}: forbid")
    waiting, ordered = list(located), []
    while waiting:
        searched = {each.axis.key for each in waiting}
        ready = next((each for each in waiting if not each.axis.when.keys & searched), None)
        if ready is None:
            raise _circle_error(waiting)
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def _circle_error(waiting: Sequence[LocatedAxis]) -> InputError:
    """Follow the conditions until a key comes again: every axis that waits asks for one that waits."""
    by_key = {each.axis.key: each for each in reversed(waiting)}
    path = [waiting[0]]
    while path[-1] not in path[:-1]:
        asked = min(key for key in path[-1].axis.when.keys if key in by_key)
        path.append(by_key[asked])
    circle = path[path.index(path[-1]) :]
    keys = " -> ".join(each.axis.key for each in circle)
    return InputError(f"{circle[0].location}: {circle[0].axis.key}: when: the conditions go in a circle: {keys}")


def check_space(space: SearchSpace, located: Sequence[LocatedAxis]) -> SearchSpace:
    """Return the space without the axes that `--set` closed for good.

    Raises
    ------
    InputError
        For whatever could fail later because of the file.
    """
    check_config(space.config)
    for each in located:
        if each.axis.key.startswith("resources.") and not isinstance(each.axis, ChoiceAxis | FixedAxis):
            raise InputError(
                f"{each.location}: {each.axis.key}: accepted: choice, since trials of each shape need slots of their "
                "own"
            )
        for clause in each.axis.when.clauses:
            _check_clause(space, clause, f"{each.location}: {each.axis.key}: when")
    for condition in space.forbid:
        for clause in condition.clauses:
            _check_clause(space, clause, f"{space.extras.forbid_location}: forbid")
    cases = space.case_tree().list_cases()
    if len(cases) < MOST_CASES:
        space, located = _check_conditions(space, located, cases)
        cases = space.case_tree().list_cases()
    if space.forbid and not _any_allowed(space, _DRAWS):
        raise InputError(
            f"{space.extras.forbid_location}: forbid: leaves less than 1 of {_DRAWS} combinations; leave out the "
            "values of the axes instead"
        )
    _check_values(space, located, [case for case in cases if case.allowed])
    _check_try_first(space)
    return space


def _any_allowed(space: SearchSpace, draws: int) -> bool:
    """Tell whether one of so many uniform draws (seed 0) is allowed."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    study, trial = cast(optuna.Study, None), cast(optuna.trial.FrozenTrial, None)  # a random sampler looks at neither

    def answer_for(name: str, distribution: optuna.distributions.BaseDistribution) -> object:
        return sampler.sample_independent(study, trial, name, distribution)

    return any(space.is_allowed(space.suggest_values(Draw({}, answer_for))) for _ in range(draws))


def _check_clause(space: SearchSpace, clause: Clause, origin: str) -> None:
    """Refuse a value that the key can never have, as `fusion.kind != nnoe` has: it would hold for ever."""
    if clause.key not in config_keys():
        return
    named = [value for axis in space.axes if axis.key == clause.key for value in axis.example_values()]
    for value in clause.named_values:
        if is_number(value) or value in named or value == space.value_of(clause.key, {}):
            continue
        try:
            check_config(space.raw_config({clause.key: value}, origin))
        except InputError as error:
            message = str(error).removeprefix(f"{origin}: ")
            if message.startswith(f"{clause.key}: unknown"):
                raise InputError(f"{origin}: {message}") from None
            if message.startswith(f"{clause.key}: "):
                accepted = accepted_values(clause.key)
                raise InputError(
                    f"{origin}: {clause.key}: {shown_value(value)} is not accepted; accepted: {accepted}"
                ) from None


def _check_conditions(
    space: SearchSpace, located: Sequence[LocatedAxis], cases: Sequence[Case]
) -> tuple[SearchSpace, list[LocatedAxis]]:
    """Refuse what can never come about, unless `--set` made it so; return the space without the axes it closed."""
    fixed, forbid = set(space.extras.fixed), space.extras.forbid_location
    if not any(case.allowed for case in cases):
        raise InputError(f"{forbid}: forbid: holds for every combination; nothing can be proposed")
    for condition in space.forbid:
        if not any(condition.holds(case.values) for case in cases) and not _deciding_keys(space, condition) & fixed:
            raise InputError(f"{forbid}: forbid: '{condition}' never holds; {_possible_values(space, condition)}")
    opened = {number for case in cases if case.allowed for number in case.open}
    kept = []
    for number, each in enumerate(located):
        if number in opened:
            kept.append(each)
        elif not _deciding_keys(space, each.axis.when) & fixed:
            forbidden = "" if not any(number in case.open for case in cases) else " where nothing is forbidden"
            raise InputError(
                f"{each.location}: {each.axis.key}: when: '{each.axis.when}' never holds{forbidden}; "
                f"{_possible_values(space, each.axis.when)}"
            )
    return replace(space, axes=tuple(each.axis for each in kept)), kept


def _deciding_keys(space: SearchSpace, condition: Condition) -> set[str]:
    """Return the keys that decide a condition, those that decide whether their axes are open included."""
    asked, more = set(condition.keys), True
    while more:
        found = {key for axis in space.axes if axis.key in asked for key in axis.when.keys}
        more = not found <= asked
        asked |= found
    return asked


def _possible_values(space: SearchSpace, condition: Condition) -> str:
    """Return in words what the keys of a condition can be."""
    words = []
    for key in dict.fromkeys(clause.key for clause in condition.clauses):
        axes = [str(axis) for axis in space.axes if axis.key == key]
        values = " or ".join(axes) if axes else f"always {shown_value(space.value_of(key, {}))}"
        words.append(f"{key}: {values}")
    return "; ".join(words)


def _check_values(space: SearchSpace, located: Sequence[LocatedAxis], cases: Sequence[Case]) -> None:
    """Build a config with each value that an axis can take, so that a refused one shows before anything starts."""
    for number, each in enumerate(located):
        for value in each.axis.example_values():
            context = next(_find_contexts(space, number, value, cases), None)
            if context is None:
                continue  # forbidden wherever it could be chosen
            try:
                check_config(space.raw_config({**context, each.axis.key: value}, each.location))
            except InputError as error:
                message = str(error)
                if message.startswith(each.location):
                    raise
                raise InputError(f"{each.location}: space: {message}") from None


def _find_contexts(
    space: SearchSpace, number: int, value: object, cases: Sequence[Case]
) -> Iterator[Mapping[str, object]]:
    """Yield what must be chosen so that an axis may have a value: what opens it, and what stands beside it there.

    All else stays as the base config has it.
    """
    axis: Axis = space.axes[number]
    if not axis.when.clauses and not space.forbid:
        yield {}
        return
    needed = _deciding_keys(space, axis.when)
    for case in cases:
        if number not in case.open:
            continue
        chosen = {**case.values, axis.key: value}
        if not isinstance(axis, RangeAxis) and any(condition.holds(chosen) for condition in space.forbid):
            continue
        opened = [space.axes[other] for other in case.open]
        beside = [other for other in opened if isinstance(other, FixedAxis) or other.key in needed]
        yield {other.key: case.values[other.key] for other in beside}


def _check_try_first(space: SearchSpace) -> None:
    """Refuse configs that lie outside the space, or are more than the search has trials."""
    first, location, trials = try_first_points(space), space.extras.try_first_location, space.config.search.trials
    if len(first) > trials:
        raise InputError(
            f"{location}: try_first: {len(first)} configs for {trials} trials (search.trials); accepted: at most "
            f"{trials}"
        )
    parameters = [optuna_parameters(space, each) for each in first]
    twice = next((number for number, each in enumerate(parameters, start=1) if each in parameters[: number - 1]), None)
    if twice is not None:
        raise InputError(f"{location}: try_first: config {twice} stands twice")
    for past in space.extras.history:
        locate_point(space, past.params, f"{space.origin}: history: {past.source}")
