"""What is wrong with a space that can be read: conditions that never hold, nothing to propose, refused values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gazetune.config.keys import accepted_values, config_keys
from gazetune.errors import InputError
from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis, RangeAxis
from gazetune.search.space.combinations import MOST_CASES, Case
from gazetune.search.space.conditions import Clause, Condition, is_number, shown_value
from gazetune.search.space.extras import Extras, first_duplicate
from gazetune.search.space.groups import PlacedAxis, check_known
from gazetune.search.space.points import first_points, locate, optuna_parameters
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.study.constrained_sampling import share_allowed
from gazetune.train.checks import check_config

_DRAWS = 1000
"""Uniform draws of which at least one must be allowed."""


def in_order(placed: Sequence[PlacedAxis], extras: Extras) -> list[PlacedAxis]:
    """Order the axes so that each comes after those its condition asks about; keep the file's order otherwise.

    Raises
    ------
    InputError
        For conditions on keys that do not exist, or in a circle.
    """
    groups = [each.axis.key for each in placed if each.axis.key not in config_keys()]
    for each in placed:
        for key in sorted(each.axis.when.keys):
            check_known(key, groups, f"{each.place}: {each.axis.key}: when")
    for condition in extras.forbid:
        for key in sorted(condition.keys):
            check_known(key, groups, f"{extras.forbid_place}: forbid")
    waiting, ordered = list(placed), []
    while waiting:
        searched = {each.axis.key for each in waiting}
        ready = next((each for each in waiting if not each.axis.when.keys & searched), None)
        if ready is None:
            raise _circle(waiting)
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def _circle(waiting: Sequence[PlacedAxis]) -> InputError:
    """Follow the conditions until a key comes again: every axis that waits asks for one that waits."""
    by_key = {each.axis.key: each for each in reversed(waiting)}
    path = [waiting[0]]
    while path[-1] not in path[:-1]:
        asked = min(key for key in path[-1].axis.when.keys if key in by_key)
        path.append(by_key[asked])
    circle = path[path.index(path[-1]) :]
    keys = " -> ".join(each.axis.key for each in circle)
    return InputError(f"{circle[0].place}: {circle[0].axis.key}: when: the conditions go in a circle: {keys}")


def check_space(space: SearchSpace, placed: Sequence[PlacedAxis]) -> SearchSpace:
    """Return the space without the axes that `--set` closed for good.

    Raises
    ------
    InputError
        For whatever could fail later because of the file.
    """
    check_config(space.config)
    for each in placed:
        if each.axis.key.startswith("resources.") and not isinstance(each.axis, ChoiceAxis | FixedAxis):
            raise InputError(
                f"{each.place}: {each.axis.key}: accepted: choice, since trials of each shape need slots of their own"
            )
        for clause in each.axis.when.clauses:
            _check_clause(space, clause, f"{each.place}: {each.axis.key}: when")
    for condition in space.forbid:
        for clause in condition.clauses:
            _check_clause(space, clause, f"{space.extras.forbid_place}: forbid")
    cases = space.reach().cases()
    if len(cases) < MOST_CASES:
        space, placed = _check_conditions(space, placed, cases)
        cases = space.reach().cases()
    if space.forbid and share_allowed(space.choose, space.allows, _DRAWS) == 0:
        raise InputError(
            f"{space.extras.forbid_place}: forbid: leaves less than 1 of {_DRAWS} combinations; leave out the values "
            "of the axes instead"
        )
    _check_values(space, placed, [case for case in cases if case.allowed])
    _check_first(space)
    return space


def _check_clause(space: SearchSpace, clause: Clause, origin: str) -> None:
    """Refuse a value that the key can never have, as `fusion.kind != nnoe` has: it would hold for ever."""
    if clause.key not in config_keys():
        return
    named = [value for axis in space.axes if axis.key == clause.key for value in axis.examples()]
    for value in clause.values:
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
    space: SearchSpace, placed: Sequence[PlacedAxis], cases: Sequence[Case]
) -> tuple[SearchSpace, list[PlacedAxis]]:
    """Refuse what can never come about, unless `--set` made it so; return the space without the axes it closed."""
    fixed = set(space.extras.fixed)
    if not any(case.allowed for case in cases):
        raise InputError(f"{space.extras.forbid_place}: forbid: holds for every combination; nothing can be proposed")
    for condition in space.forbid:
        if not any(condition.holds(case.values) for case in cases) and not _asked(space, condition) & fixed:
            raise InputError(
                f"{space.extras.forbid_place}: forbid: '{condition}' never holds; {_possible(space, condition)}"
            )
    opened = {number for case in cases if case.allowed for number in case.open}
    kept = []
    for number, each in enumerate(placed):
        if number in opened:
            kept.append(each)
        elif not _asked(space, each.axis.when) & fixed:
            forbidden = "" if not any(number in case.open for case in cases) else " where nothing is forbidden"
            raise InputError(
                f"{each.place}: {each.axis.key}: when: '{each.axis.when}' never holds{forbidden}; "
                f"{_possible(space, each.axis.when)}"
            )
    return replace(space, axes=tuple(each.axis for each in kept)), kept


def _asked(space: SearchSpace, condition: Condition) -> set[str]:
    """Return the keys that decide a condition, those that decide whether their axes are open included."""
    asked, more = set(condition.keys), True
    while more:
        found = {key for axis in space.axes if axis.key in asked for key in axis.when.keys}
        more = not found <= asked
        asked |= found
    return asked


def _possible(space: SearchSpace, condition: Condition) -> str:
    """Return in words what the keys of a condition can be."""
    words = []
    for key in dict.fromkeys(clause.key for clause in condition.clauses):
        axes = [str(axis) for axis in space.axes if axis.key == key]
        values = " or ".join(axes) if axes else f"always {shown_value(space.value_of(key, {}))}"
        words.append(f"{key}: {values}")
    return "; ".join(words)


def _check_values(space: SearchSpace, placed: Sequence[PlacedAxis], cases: Sequence[Case]) -> None:
    """Build a config with each value that an axis can take, so that a refused one shows before anything starts."""
    for number, each in enumerate(placed):
        for value in each.axis.examples():
            surroundings = next(_surroundings(space, number, value, cases), None)
            if surroundings is None:
                continue  # forbidden wherever it could be chosen
            try:
                check_config(space.raw_config({**surroundings, each.axis.key: value}, each.place))
            except InputError as error:
                message = str(error)
                if message.startswith(each.place):
                    raise
                raise InputError(f"{each.place}: space: {message}") from None


def _surroundings(space: SearchSpace, number: int, value: Any, cases: Sequence[Case]) -> Iterator[Mapping[str, Any]]:
    """Yield what must be chosen so that an axis may have a value: what opens it, and what stands beside it there.

    All else stays as the base config has it.
    """
    axis: Axis = space.axes[number]
    if not axis.when.clauses and not space.forbid:
        yield {}
        return
    needed = _asked(space, axis.when)
    for case in cases:
        if number not in case.open:
            continue
        chosen = {**case.values, axis.key: value}
        if not isinstance(axis, RangeAxis) and any(condition.holds(chosen) for condition in space.forbid):
            continue
        opened = [space.axes[other] for other in case.open]
        beside = [other for other in opened if isinstance(other, FixedAxis) or other.key in needed]
        yield {other.key: case.values[other.key] for other in beside}


def _check_first(space: SearchSpace) -> None:
    """Refuse configs that lie outside the space, or are more than the search has trials."""
    first, place, trials = first_points(space), space.extras.try_first_place, space.config.search.trials
    if len(first) > trials:
        raise InputError(
            f"{place}: try_first: {len(first)} configs for {trials} trials (search.trials); accepted: at most {trials}"
        )
    twice = first_duplicate([optuna_parameters(space, each) for each in first])
    if twice is not None:
        raise InputError(f"{place}: try_first: config {twice} stands twice")
    for past in space.extras.history:
        locate(space, past.params, f"{space.origin}: history: {past.source}")
