"""What stands beside the axes of a space: `forbid`, `try_first`, and what gazetune itself writes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gazetune.config.keys import config_keys, key_hint
from gazetune.errors import InputError
from gazetune.search.space.conditions import Condition, parse_condition, shown_value
from gazetune.search.space.groups import dotted

_NEVER_AXES = ("search.", "tracking.")


@dataclass(frozen=True)
class PastTrial:
    """A COMPLETE trial of another search."""

    source: str
    """`NAME:NUMBER` of the search and its trial."""
    values: tuple[float, ...]
    """Its objectives, as its study has them."""
    params: Mapping[str, Any]
    """The values of the axes, by dotted key."""


@dataclass(frozen=True)
class Extras:
    """The keys of a space file beside its axes."""

    forbid: tuple[Condition, ...] = ()
    try_first: tuple[Mapping[str, Any], ...] = ()
    """Partial configs with dotted keys, as they were given."""
    fixed: tuple[str, ...] = ()
    """Keys that `--set` fixed; their values are in the base config, their axes are gone."""
    history: tuple[PastTrial, ...] = ()
    """What `--warm-start` took over."""
    forbid_place: str = ""
    try_first_place: str = ""

    def as_written(self) -> dict[str, Any]:
        """Return them as the file has them, without what is empty."""
        history = [
            {"from": past.source, "values": list(past.values), "params": dict(past.params)} for past in self.history
        ]
        written = {
            "forbid": [str(condition) for condition in self.forbid],
            "try_first": [dict(each) for each in self.try_first],
            "fixed": list(self.fixed),
            "history": history,
        }
        return {key: value for key, value in written.items() if value}


def read_extras(tree: Mapping[str, Any], lines: Mapping[str, int], path: str, overrides: Mapping[str, Any]) -> Extras:
    """Return the extras of a space file, its overrides among them.

    Raises
    ------
    InputError
        For what is no list, a condition that cannot be read, a config that is no mapping.
    """
    places = {key: f"{path}:{lines[key]}" for key in ("forbid", "try_first", "fixed", "history") if key in lines}
    forbid = _list(tree, "forbid", "conditions", places)
    first = _list(tree, "try_first", "configs", places)
    for number, each in enumerate(first, start=1):
        if not isinstance(each, Mapping) or not each:
            raise InputError(
                f"{places['try_first']}: try_first: config {number}: needs a mapping of keys to values, got "
                f"{shown_value(each)}"
            )
    fixed = _list(tree, "fixed", "config keys", places)
    for key in fixed:
        if key not in config_keys():
            raise InputError(f"{places['fixed']}: fixed: unknown key '{key}'; {key_hint(str(key))}")
    fixed += [key for key in overrides if key in config_keys() and not key.startswith(_NEVER_AXES)]
    return Extras(
        forbid=tuple(parse_condition(text, f"{places['forbid']}: forbid") for text in forbid),
        try_first=tuple(dotted(each) for each in first),
        fixed=tuple(dict.fromkeys(fixed)),
        history=tuple(_past(each, places["history"]) for each in _list(tree, "history", "past trials", places)),
        forbid_place=places.get("forbid", path),
        try_first_place=places.get("try_first", path),
    )


def _list(tree: Mapping[str, Any], key: str, of: str, places: Mapping[str, str]) -> list[Any]:
    found = tree.get(key)
    if key in tree and not isinstance(found, list):
        raise InputError(f"{places[key]}: {key}: needs a list of {of}, got {shown_value(found)}")
    return list(found or [])


def _past(entry: Any, place: str) -> PastTrial:
    keys = {"from": str, "values": list, "params": Mapping}
    if not isinstance(entry, Mapping) or any(not isinstance(entry.get(key), kind) for key, kind in keys.items()):
        raise InputError(f"{place}: history: {shown_value(entry)} is no past trial; --warm-start writes this key")
    return PastTrial(entry["from"], tuple(map(float, entry["values"])), dict(entry["params"]))


def first_duplicate(configs: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the position, from 1, of the first config that stands twice."""
    return next((at + 1 for at, each in enumerate(configs) if each in configs[:at]), None)
