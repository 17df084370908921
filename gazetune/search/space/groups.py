"""The entries of a space file, groups among them, as one flat list of axes.

A group is a `choice` of mappings. Choosing one of them sets its values and opens its axes:

    fusion.kind: {choice: {none: {}, add: {gaze.align: {choice: [spread, first]}}}}
    arm: {choice: {plain: {fusion.kind: none}, tuned: {fusion.kind: add, optim.learning_rate: 3.0e-5}}}

Under a config key the name of a choice is its value. Any other name without a dot belongs to the space alone; the
choices of a list are numbered from 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from gazetune.config.keys import accepted_values, config_keys, config_sections, key_hint
from gazetune.errors import InputError, did_you_mean
from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis
from gazetune.search.space.axis_file import axis_kind, is_axis, parse_axis
from gazetune.search.space.conditions import Clause, Condition, parse_condition, shown_value

_NOT_SEARCHED = ("preset", "search.", "tracking.")


@dataclass(frozen=True)
class PlacedAxis:
    """An axis and where the file has it, as `FILE:LINE`."""

    axis: Axis
    place: str


def read_entries(entries: Mapping[str, Any], lines: Mapping[str, int], path: str) -> list[PlacedAxis]:
    """Return every axis of the entries; one inside a group has the choice that opens it in its condition.

    Parameters
    ----------
    entries : mapping
        What stands under `space`.
    lines : mapping of str to int
        The line of each dotted key of the file.
    path : str
        The file, as error lines name it.

    Raises
    ------
    InputError
        For unknown keys, entries of the wrong form, and a key that two axes could set at once.
    """
    found: list[tuple[PlacedAxis, str]] = []
    for key, entry in entries.items():
        _add(found, key, entry, Condition(), "", f"space.{key}", _Where(lines, path))
    for number, (placed, _) in enumerate(found):
        for other, _ in found[:number]:
            if other.axis.key == placed.axis.key and not other.axis.when.excludes(placed.axis.when):
                raise InputError(
                    f"{placed.place}: space: {placed.axis.key}: stands twice, first at {other.place}, and both could "
                    "be chosen; accepted: one axis for a key, or one in each choice of a group"
                )
    return [replace(placed, axis=_named(placed.axis, arm, found)) for placed, arm in found]


@dataclass(frozen=True)
class _Where:
    lines: Mapping[str, int]
    path: str

    def __call__(self, key: str) -> str:
        """Return `FILE:LINE` of a dotted key or of the nearest one above it: lists have no lines of their own."""
        while key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines[key]}"


def _add(
    found: list[tuple[PlacedAxis, str]], key: str, entry: Any, inside: Condition, arm: str, key_path: str, where: _Where
) -> None:
    """Add the axis of one entry, and those that it opens. `inside` holds where the entry itself is open."""
    place = where(key_path)
    groups = _groups(key, entry, place)
    _check_key(key, groups is not None, place)
    if groups is None:
        axis = parse_axis(key, entry, place)
        found.append((PlacedAxis(replace(axis, when=inside.joined(axis.when)), place), arm))
        return
    if "when" in entry:
        inside = inside.joined(parse_condition(entry["when"], f"{place}: {key}: when"))
    found.append((PlacedAxis(ChoiceAxis(key, inside, tuple(groups.values_of())), place), arm))
    for label, value, group in groups.arms:
        opened = inside.joined(Condition((Clause(key, "==", value),)))
        inner = ", ".join(filter(None, (arm, f"{key}={shown_value(value)}")))
        for inner_key, inner_entry in dotted(group).items():
            inner_path = f"{key_path}.choice.{label}.{inner_key}"
            _add_inner(found, inner_key, inner_entry, opened, inner, inner_path, where)


def _add_inner(
    found: list[tuple[PlacedAxis, str]], key: str, entry: Any, opened: Condition, arm: str, key_path: str, where: _Where
) -> None:
    """Add what one key of a group is: an axis, another group, or a value."""
    takes_mapping = key in config_keys() and "a mapping" in accepted_values(key)
    if is_axis(entry) or (isinstance(entry, Mapping) and not takes_mapping):
        _add(found, key, entry, opened, arm, key_path, where)
        return
    _check_key(key, False, where(key_path))
    found.append((PlacedAxis(FixedAxis(key, opened, entry), where(key_path)), arm))


@dataclass(frozen=True)
class _Groups:
    arms: Sequence[tuple[str, Any, Mapping[str, Any]]]
    """Label in the file, value of the choice, and what it opens."""

    def values_of(self) -> list[Any]:
        return [value for _, value, _ in self.arms]


def _groups(key: str, entry: Any, place: str) -> _Groups | None:
    """Return the choices of an entry that is a group; None for any other."""
    choices = entry.get("choice") if isinstance(entry, Mapping) else None
    listed = isinstance(choices, list) and choices and all(isinstance(each, Mapping) for each in choices)
    if listed and key not in config_keys():
        choices = {str(number): each for number, each in enumerate(choices or [], start=1)}
    elif not isinstance(choices, Mapping):
        return None
    axis_kind(key, entry, place)
    if not choices:
        raise InputError(f"{place}: {key}: choice: needs at least one choice, got {{}}")
    arms = []
    for label, group in choices.items():
        if not isinstance(group, Mapping | None):
            raise InputError(
                f"{place}: {key}: choice: {label}: needs a mapping of keys to values or axes, got {shown_value(group)}"
            )
        value = yaml.safe_load(label) if listed or key in config_keys() else label
        arms.append((label, value, group or {}))
    return _Groups(arms)


def _check_key(key: str, group: bool, place: str) -> None:
    if key in config_keys():
        if key.startswith(_NOT_SEARCHED):
            raise InputError(f"{place}: space: {key} holds for the whole search and cannot be searched")
        return
    if not group:
        raise InputError(f"{place}: space: unknown key '{key}'; {key_hint(key)}")
    if key in config_sections() or not re.fullmatch(r"[A-Za-z_]\w*", key):
        raise InputError(
            f"{place}: space: '{key}' cannot name a group; {key_hint(key)}, or a name of letters, digits and '_'"
        )


def dotted(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a partial config with dotted keys: `{fusion: {kind: add}}` is `{fusion.kind: add}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if key in config_sections() and isinstance(value, Mapping) and not is_axis(value):
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _named(axis: Axis, arm: str, found: Sequence[tuple[PlacedAxis, str]]) -> Axis:
    """Give the axis a parameter name of its own where one on the same key has other values.

    Optuna takes a name for one set of values. Where the values are the same, choices share what is learned of them.
    """
    plain = replace(axis, when=Condition())
    alike = [replace(other.axis, when=Condition()) for other, _ in found if other.axis.key == axis.key]
    if all(other == plain or isinstance(other, FixedAxis) for other in alike):
        return axis
    return replace(axis, name=f"{axis.key} [{arm}]")


def check_known(key: str, names: Sequence[str], origin: str) -> None:
    """Raise `InputError` when a condition asks for a key that is neither of the config nor a group of the space."""
    if key not in config_keys() and key not in names:
        hint = did_you_mean(key, names) if "." not in key and names else key_hint(key)
        raise InputError(f"{origin}: unknown key '{key}'; {hint}")
