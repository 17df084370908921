"""The entries of a space file, groups among them, as one flat list of axes.

A group is a `choice` of mappings. Choosing one of them sets its values and opens its axes:

    fusion.kind: {choice: {none: {}, add: {gaze.align: {choice: [spread, first]}}}}
    recipe: {choice: {plain: {fusion.kind: none}, tuned: {fusion.kind: add, optim.learning_rate: 3.0e-5}}}

Under a config key the name of a choice is its value. Any other name without a dot belongs to the space alone; the
choices of a list are numbered from 1.

Everything behind this file knows axes and conditions alone, so the tree of groups is flattened here. What is nested in
a choice gets a condition on that choice, and a plain value in it becomes a fixed axis. `recipe` above turns into

    axis                 values                when
    recipe               choice plain, tuned   always
    fusion.kind          fixed none            recipe == plain
    fusion.kind          fixed add             recipe == tuned
    optim.learning_rate  fixed 3e-05           recipe == tuned

Two axes may share a key, as `fusion.kind` does, when their conditions contradict each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gazetune.config.keys import accepted_values, config_keys, config_sections, key_hint
from gazetune.config.yaml_file import parse_yaml_value
from gazetune.errors import InputError, did_you_mean
from gazetune.search.space.axes import Axis, ChoiceAxis, FixedAxis
from gazetune.search.space.axis_file import is_axis, parse_axis, read_kind
from gazetune.search.space.conditions import Clause, Condition, parse_condition, shown_value

_NOT_SEARCHED = ("preset", "search.", "tracking.")


@dataclass(frozen=True)
class LocatedAxis:
    """An axis and where the file has it, as `FILE:LINE`."""

    axis: Axis
    location: str


@dataclass(frozen=True)
class _GroupChoice:
    """One of the mappings of a group."""

    label: str
    """What the file calls it."""
    value: object
    """What the axis proposes for it."""
    members: Mapping[str, object]
    """What it sets and opens."""


def read_axes(
    entries: Mapping[str, object], lines: Mapping[str, int], path: str, section: str = "space"
) -> list[LocatedAxis]:
    """Return every axis of the entries; one inside a group has the choice that opens it in its condition.

    Parameters
    ----------
    entries : mapping
        What stands under the section.
    lines : mapping of str to int
        The line of each dotted key of the file.
    path : str
        The file, as error lines name it.
    section : str
        The key of the file under which the entries stand.

    Raises
    ------
    InputError
        For unknown keys, entries of the wrong form, and a key that two axes could set at once.
    """
    reader = _EntryReader(lines, path, section)
    for key, entry in entries.items():
        reader.add_entry(key, entry, _Surroundings(Condition(), "", f"{section}.{key}"))
    found = [located for located, _ in reader.found]
    for number, located in enumerate(found):
        for other in found[:number]:
            if other.axis.key == located.axis.key and not other.axis.when.contradicts(located.axis.when):
                raise InputError(
                    f"{located.location}: {section}: {located.axis.key}: stands twice, first at {other.location}, and "
                    "both could be chosen; accepted: one axis for a key, or one in each choice of a group"
                )
    axes = [located.axis for located in found]
    return [replace(located, axis=_name_apart(located.axis, branch, axes)) for located, branch in reader.found]


@dataclass(frozen=True)
class _Surroundings:
    """What lies around an entry in the tree of groups."""

    condition: Condition
    """Holds where the entry is open: the choices of all groups around it."""
    branch: str
    """The same in words: `recipe=tuned, fusion.kind=add`."""
    key_path: str
    """The keys that lead to the entry in the file, joined by dots."""


class _EntryReader:
    """Walks through the tree of groups and collects its axes, each with the branch that it is in."""

    def __init__(self, lines: Mapping[str, int], path: str, section: str) -> None:
        self.found: list[tuple[LocatedAxis, str]] = []
        self._lines, self._path, self._section = lines, path, section

    def add_entry(self, key: str, entry: object, around: _Surroundings) -> None:
        """Add the axis of one entry, and those that it opens."""
        location = self._location_of(around.key_path)
        choices = _read_group(key, entry, location)
        _check_key(key, choices is not None, f"{location}: {self._section}")
        if choices is None:
            axis = parse_axis(key, entry, location)
            self._add_axis(replace(axis, when=around.condition.joined_with(axis.when)), around)
            return
        condition = around.condition
        if isinstance(entry, Mapping) and "when" in entry:
            condition = condition.joined_with(parse_condition(entry["when"], f"{location}: {key}: when"))
        self._add_axis(ChoiceAxis(key, condition, tuple(choice.value for choice in choices)), around)
        for choice in choices:
            opened = condition.joined_with(Condition((Clause(key, "==", choice.value),)))
            branch = ", ".join(filter(None, (around.branch, f"{key}={shown_value(choice.value)}")))
            for inner_key, inner_entry in with_dotted_keys(choice.members).items():
                key_path = f"{around.key_path}.choice.{choice.label}.{inner_key}"
                self._add_member(inner_key, inner_entry, _Surroundings(opened, branch, key_path))

    def _add_member(self, key: str, entry: object, around: _Surroundings) -> None:
        """Add what one key of a group is: an axis, another group, or a value."""
        takes_mapping = key in config_keys() and "a mapping" in accepted_values(key)
        if is_axis(entry) or (isinstance(entry, Mapping) and not takes_mapping):
            self.add_entry(key, entry, around)
            return
        _check_key(key, False, f"{self._location_of(around.key_path)}: {self._section}")
        self._add_axis(FixedAxis(key, around.condition, entry), around)

    def _add_axis(self, axis: Axis, around: _Surroundings) -> None:
        self.found.append((LocatedAxis(axis, self._location_of(around.key_path)), around.branch))

    def _location_of(self, key_path: str) -> str:
        """Return `FILE:LINE` of a dotted key or of the nearest one above it: lists have no lines of their own."""
        while key_path not in self._lines:
            key_path = key_path.rpartition(".")[0]
        return f"{self._path}:{self._lines[key_path]}"


def _read_group(key: str, entry: object, location: str) -> list[_GroupChoice] | None:
    """Return the choices of an entry that is a group; None for any other."""
    choices = entry.get("choice") if isinstance(entry, Mapping) else None
    listed = isinstance(choices, list) and choices and all(isinstance(each, Mapping) for each in choices)
    if listed and key not in config_keys():
        choices = {str(number): each for number, each in enumerate(choices or [], start=1)}
    elif not isinstance(choices, Mapping):
        return None
    read_kind(key, entry, location)
    if not choices:
        raise InputError(f"{location}: {key}: choice: needs at least one choice, got {{}}")
    found = []
    for label, members in choices.items():
        if not isinstance(members, Mapping | None):
            raise InputError(
                f"{location}: {key}: choice: {label}: needs a mapping of keys to values or axes, got "
                f"{shown_value(members)}"
            )
        value = parse_yaml_value(label) if listed or key in config_keys() else label
        found.append(_GroupChoice(label, value, members or {}))
    return found


def _check_key(key: str, group: bool, location: str) -> None:
    if key in config_keys():
        if key.startswith(_NOT_SEARCHED):
            raise InputError(f"{location}: {key} holds for the whole search and cannot be searched")
        return
    if not group:
        raise InputError(f"{location}: unknown key '{key}'; {key_hint(key)}")
    if key in config_sections() or not re.fullmatch(r"[A-Za-z_]\w*", key):
        raise InputError(
            f"{location}: '{key}' cannot name a group; {key_hint(key)}, or a name of letters, digits and '_'"
        )


def with_dotted_keys(tree: Mapping[str, object]) -> dict[str, object]:
    """Return a partial config with dotted keys.

    Examples
    --------
    >>> with_dotted_keys({"fusion": {"kind": "add"}, "optim.learning_rate": 1e-4})
    {'fusion.kind': 'add', 'optim.learning_rate': 0.0001}
    """
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if key in config_sections() and isinstance(value, Mapping) and not is_axis(value):
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _name_apart(axis: Axis, branch: str, axes: Sequence[Axis]) -> Axis:
    """Give the axis a parameter name of its own where one on the same key has other values.

    Optuna takes a name for one set of values. Where the values are the same, choices share what is learned of them.
    """
    plain = replace(axis, when=Condition())
    alike = [replace(other, when=Condition()) for other in axes if other.key == axis.key]
    if all(other == plain or isinstance(other, FixedAxis) for other in alike):
        return axis
    return replace(axis, name=f"{axis.key} [{branch}]")


def check_known_key(key: str, names: Sequence[str], origin: str) -> None:
    """Raise `InputError` when a condition asks for a key that is neither of the config nor a group of the space."""
    if key not in config_keys() and key not in names:
        hint = did_you_mean(key, names) if "." not in key and names else key_hint(key)
        raise InputError(f"{origin}: unknown key '{key}'; {hint}")
